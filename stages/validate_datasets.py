"""Validate the datasets of every horizon, as `stages.validate` does the tables before them.

Checks data/datasets/, writes metrics/validation_datasets/<horizon>.json and builds the data docs
under great_expectations/uncommitted/. See docs/validation.md.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import date

import polars as pl
from pydantic import Field

from stages.common import tables
from stages.common.paths import DATASETS, METRICS
from stages.common.running import run
from stages.common.sections import DataParams, Horizons, Sections, checked, load
from stages.forecast.dataset_params import DatasetParams, columns
from stages.quality.helper_columns import (
    FINITE,
    HOLD_OUT,
    IN_ORDER,
    Helper,
    every_number_finite,
    first_date,
    in_order,
)
from stages.quality.score import Report
from stages.quality.suites import Suites
from stages.quality.validate_params import ValidateParams
from stages.quality.validation import Part, check, conclude


class Settings(Sections):
    """What validate_datasets obeys."""

    data: DataParams
    validate_: ValidateParams = Field(alias="validate")
    dataset: DatasetParams
    horizons: Horizons


def dataset_parts(horizon: str, names: Sequence[str]) -> list[Part]:
    """The tables that dataset writes to data/datasets/ for one horizon, with these features."""
    files = {name: DATASETS / horizon / f"{name}.parquet" for name in ("train", "test")}
    shared = {FINITE: every_number_finite}
    helpers: dict[str, Mapping[str, Helper]] = {
        "train": {**shared, IN_ORDER: in_order("date"), HOLD_OUT: first_date(files["test"])},
        "test": {**shared, IN_ORDER: in_order("date")},
    }
    stored = pl.read_parquet_schema(files["train"]) if files["train"].exists() else names
    # A dataset has no features of volume, or of hourly bars, where there are none.
    optional = (*tables.of_volume(names), *tables.of_hours(names))
    unknown = [name for name in optional if name not in stored]
    names = [name for name in names if name not in unknown]
    contract = tables.dataset_contract(names)
    return [
        Part(f"datasets/{horizon}/{name}", "datasets", [file], contract, names, helpers[name])
        for name, file in files.items()
    ]


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


def main() -> None:
    """Validate the datasets of every horizon."""
    settings = load(Settings)
    suites, names = Suites(), columns(settings.dataset, checked().features)
    tables.keep_only(DATASETS, settings.horizons)
    report = validate_datasets(suites, settings.data.as_of, settings.horizons, names)
    conclude(report, suites, METRICS / "validation_datasets", settings.validate_.min_quality)


if __name__ == "__main__":
    run(main)
