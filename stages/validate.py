"""Validate the tables against the suites of `great_expectations/`, and stop on bad data.

`python -m stages.validate tables` checks data/raw/, data/clean/ and data/features/ and writes
metrics/validation.json; `python -m stages.validate datasets` checks data/datasets/ and writes
metrics/validation_datasets/<horizon>.json. Both build the data docs under
great_expectations/uncommitted/.

An expectation that holds scores 100. One that does not scores the percentage of rows that meet it,
divided by the share that it asks for, if it has a `mostly`; one about the table as a whole scores
0 or 100. The quality of a table is the mean over its expectations, and the overall quality the
mean over the tables. Scores are rounded down. See docs/validation.md.
"""

import json
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import Field

from stages.common import tables
from stages.common.errors import InputError, ParamsError, StageError
from stages.common.paths import (
    CLEAN_DAILY,
    CLEAN_HOURLY,
    CLEAN_MARKET,
    DATASETS,
    FEATURES_DAILY,
    METRICS,
    RAW,
)
from stages.common.running import log, progress, run
from stages.common.sections import DataParams, Sections, load
from stages.forecast import dataset_params
from stages.forecast.dataset_params import DatasetParams, Horizons
from stages.indicators import feature_table
from stages.indicators.feature_params import FeatureParams
from stages.indicators.feature_table import without_volume
from stages.quality.checking import Check
from stages.quality.data_docs import INDEX, publish
from stages.quality.helper_columns import (
    BARS,
    FINITE,
    HOLD_OUT,
    IN_ORDER,
    KNOWN,
    Helper,
    bars_of_symbol,
    every_number_finite,
    first_date,
    in_order,
    stay_known,
)
from stages.quality.score import (
    Checked,
    Report,
    enforce,
    failures,
    metrics,
    overall,
    percent,
    quality,
)
from stages.quality.suites import Meaning, Suites
from stages.quality.validate_params import ValidateParams


class Settings(Sections):
    """What validate obeys."""

    data: DataParams
    features: FeatureParams
    validate_: ValidateParams = Field(alias="validate")
    dataset: DatasetParams
    horizons: Horizons


SLICE = 250_000
"""Rows of a slice, where a table has one file per symbol."""


@dataclass(frozen=True)
class Part:
    """One table file, or one folder of them.

    Attributes:
        name: as messages call it, such as `clean/daily`.
        suite: the suite that it is checked against.
        files: that hold its rows.
        contract: its columns and their types.
        features: those of them that are features.
        helpers: columns to add to each slice, by name.
    """

    name: str
    suite: str
    files: Sequence[Path]
    contract: tables.Contract
    features: Sequence[str] = ()
    helpers: Mapping[str, Helper] = field(default_factory=dict)

    @property
    def keys(self) -> tuple[str, str]:
        """The columns that identify a row."""
        return "symbol", "timestamp" if "timestamp" in self.contract else "date"


def raw_parts() -> list[Part]:
    """The tables that ingest writes to data/raw/."""
    kinds = {
        "daily": tables.RAW_DAILY,
        "hourly": tables.RAW_HOURLY,
        "market": tables.RAW_DAILY,
    }
    parts = [
        Part(f"raw/{kind}", "raw", sorted((RAW / kind).glob("*.parquet")), contract)
        for kind, contract in kinds.items()
    ]
    actions = RAW / "actions.parquet"
    parts.append(Part("raw/actions", "raw", [actions] if actions.exists() else [], tables.ACTIONS))
    if not any(part.files for part in parts):
        raise InputError(f"{RAW}: there is no table; run `dvc repro` or `dvc pull`")
    return [part for part in parts if part.files]


def clean_parts() -> list[Part]:
    """The tables that clean writes to data/clean/."""
    daily, hourly = tables.CLEAN_DAILY, tables.CLEAN_HOURLY
    parts = [
        Part(
            "clean/daily",
            "clean",
            [CLEAN_DAILY],
            daily,
            helpers={IN_ORDER: in_order("date"), BARS: bars_of_symbol},
        ),
        Part(
            "clean/hourly",
            "clean",
            [CLEAN_HOURLY],
            hourly,
            helpers={IN_ORDER: in_order("timestamp")},
        ),
        Part("clean/market", "clean", [CLEAN_MARKET], daily, helpers={IN_ORDER: in_order("date")}),
    ]
    return [part for part in parts if part.files[0] == CLEAN_DAILY or part.files[0].exists()]


def feature_parts(names: Sequence[str]) -> list[Part]:
    """The table that features writes to data/features/, with these features."""
    return [
        Part(
            "features/daily",
            "features",
            [FEATURES_DAILY],
            tables.features_contract(names),
            names,
            {IN_ORDER: in_order("date"), FINITE: every_number_finite, KNOWN: stay_known(names)},
        )
    ]


def dataset_parts(horizon: str, names: Sequence[str]) -> list[Part]:
    """The tables that dataset writes to data/datasets/ for one horizon, with these features."""
    files = {name: DATASETS / horizon / f"{name}.parquet" for name in ("train", "test")}
    shared = {FINITE: every_number_finite}
    helpers: dict[str, Mapping[str, Helper]] = {
        "train": {**shared, IN_ORDER: in_order("date"), HOLD_OUT: first_date(files["test"])},
        "test": {**shared, IN_ORDER: in_order("date")},
    }
    kept = pl.read_parquet_schema(files["train"]) if files["train"].exists() else names
    # A dataset has no features of volume where a symbol has no volume.
    unknown = [name for name in feature_table.of_volume(names) if name not in kept]
    names = [name for name in names if name not in unknown]
    contract = tables.dataset_contract(names)
    return [
        Part(f"datasets/{horizon}/{name}", "datasets", [file], contract, names, helpers[name])
        for name, file in files.items()
    ]


def slices(part: Part) -> Iterator[pl.DataFrame]:
    """The rows of a part, whole symbols at a time; at least one slice, which may be empty."""
    if len(part.files) == 1:
        yield from tables.row_groups(part.files[0])
        return
    waiting: list[pl.DataFrame] = []
    for file in part.files:
        frame = tables.read(file)
        rows = sum(other.height for other in waiting)
        if waiting and (frame.schema != waiting[0].schema or rows + frame.height > SLICE):
            yield pl.concat(waiting)
            waiting = []
        waiting.append(frame)
    yield pl.concat(waiting)


def check(part: Part, suites: Suites, parameters: Mapping[str, Any]) -> Checked:
    """Run the suite of a part over its rows."""
    columns = list(part.contract)
    unknown = unknown_columns(part)
    meaning = Meaning(
        [name for name in columns if name not in unknown],
        [name for name in part.features if name not in unknown],
        list(part.helpers),
        part.keys[1],
        {**parameters, "columns": columns},
    )
    checking = Check(
        suites.context, part.name, suites.rules(part.suite, meaning), meaning.helpers, part.keys
    )
    for frame in progress(slices(part), part.name):
        checking.add(with_helpers(frame, part))
    return checking.finish()


def unknown_columns(part: Part) -> list[str]:
    """The columns of volume, where a symbol of a part has no volume on any bar.

    Clean lets a bar without a volume through only where its symbol has none at all.
    """
    if part.suite not in ("clean", "features") or "volume" not in part.contract:
        return []
    try:
        bars = pl.concat(tables.read(file, ["symbol", "volume"]) for file in part.files)
    except StageError:
        # Checking the part says what is wrong.
        return []
    return feature_table.of_volume(list(part.contract)) if without_volume(bars) else []


def with_helpers(frame: pl.DataFrame, part: Part) -> pl.DataFrame:
    """Add the helper columns of a part, if its key columns have their contracted types."""
    sound = all(frame.schema.get(name) == part.contract[name] for name in part.keys)
    if frame.is_empty() or not sound:
        return frame
    return frame.with_columns(helper(frame).alias(name) for name, helper in part.helpers.items())


def validate_tables(suites: Suites, as_of: date, min_bars: int, features: Sequence[str]) -> Report:
    """Check raw, clean and features.

    Args:
        suites: the committed context.
        as_of: the newest session that a table may have.
        min_bars: that each symbol must have.
        features: the columns that the features stage makes.
    """
    parameters: dict[str, Any] = {"as_of": as_of, "min_bars": min_bars}
    report: dict[str, list[Checked]] = {}
    for part in [*raw_parts(), *clean_parts(), *feature_parts(features)]:
        checked = check(part, suites, parameters)
        if part.name == "clean/daily":
            parameters["clean_rows"] = checked.rows
        report.setdefault(part.suite, []).append(checked)
    return report


def validate_datasets(
    suites: Suites, as_of: date, horizons: Collection[str], features: Sequence[str]
) -> Report:
    """Check the datasets of every horizon.

    Args:
        suites: the committed context.
        as_of: the newest session that a table may have.
        horizons: by name.
        features: the columns that a model sees.
    """
    return {
        f"datasets/{horizon}": [
            check(part, suites, {"as_of": as_of}) for part in dataset_parts(horizon, features)
        ]
        for horizon in horizons
    }


def write_metrics(report: Report, path: Path) -> None:
    """Write one file of all tables; or, if `path` is a folder, one of each table.

    With one file of each, what is trained on one dataset does not depend on the others.
    """
    content = metrics(report)
    with tables.replacing(path) as partial:
        if path.suffix:
            _write_json(content, partial)
            return
        partial.mkdir()
        for table, own in content["tables"].items():
            _write_json(own, partial / f"{Path(table).name}.json")


def _write_json(content: Mapping[str, Any], path: Path) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def conclude(report: Report, suites: Suites, path: Path, min_quality: float) -> None:
    """Write metrics and data docs, and stop the pipeline if the data is bad.

    Args:
        report: of all tables.
        suites: the committed context.
        path: of the metrics.
        min_quality: in percent, for each table.

    Raises:
        QualityError: see `enforce`.
    """
    write_metrics(report, path)
    by_suite: dict[str, list[Checked]] = {}
    for table, parts in report.items():
        by_suite.setdefault(table.split("/")[0], []).extend(parts)
    publish(suites, by_suite)
    parts = [part for parts in report.values() for part in parts]
    log.info(
        "validate: %s: %s expectations, %s not met, quality %s -> %s, %s",
        ", ".join(f"{table} {percent(quality(parts))}" for table, parts in report.items()),
        sum(len(part.outcomes) for part in parts),
        len(failures(parts)),
        percent(overall(report)),
        path,
        INDEX,
    )
    enforce(report, min_quality, str(INDEX))


def main() -> None:
    """Validate the tables that the command line names."""
    if sys.argv[1:] not in (["tables"], ["datasets"]):
        raise ParamsError(["usage: python -m stages.validate tables|datasets"])
    settings = load(Settings)
    suites, as_of = Suites(), settings.data.as_of
    features = feature_table.columns(settings.features, settings.data.market)
    if sys.argv[1] == "tables":
        path = METRICS / "validation.json"
        min_bars = settings.validate_.min_bars
        report = validate_tables(suites, as_of, min_bars, features)
    else:
        path = METRICS / "validation_datasets"
        tables.keep_only(DATASETS, settings.horizons)
        selected = dataset_params.selected(settings.dataset, features)
        report = validate_datasets(suites, as_of, settings.horizons, selected)
    conclude(report, suites, path, settings.validate_.min_quality)


if __name__ == "__main__":
    run(main)
