"""Run a suite over the rows of a table, a few symbols at a time, and report on all tables.

An expectation that holds scores 100. One that does not scores the percentage of rows that meet it,
divided by the share that it asks for, if it has a `mostly`; one about the table as a whole scores
0 or 100. The quality of a table is the mean over its expectations, and the overall quality the
mean over the tables. Scores are rounded down. See docs/validation.md.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from stages.common import tables
from stages.common.errors import StageError
from stages.common.running import log, progress
from stages.quality.checking import Check
from stages.quality.data_docs import INDEX, publish
from stages.quality.helper_columns import Helper
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
        rows: which rows of the files are its own.
    """

    name: str
    suite: str
    files: Sequence[Path]
    contract: tables.Contract
    features: Sequence[str] = ()
    helpers: Mapping[str, Helper] = field(default_factory=dict)
    rows: pl.Expr | None = None

    @property
    def keys(self) -> tuple[str, str]:
        """The columns that identify a row."""
        return "symbol", "timestamp" if "timestamp" in self.contract else "date"


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
        suites, part.name, suites.rules(part.suite, meaning), meaning.helpers, part.keys
    )
    for frame in progress(slices(part), part.name):
        own = frame if part.rows is None else frame.filter(part.rows)
        checking.add(with_helpers(own, part))
    return checking.finish()


def unknown_columns(part: Part) -> list[str]:
    """The columns of volume, where a symbol of a part has no volume on any bar.

    Clean lets a bar without a volume through only where its symbol has none at all.
    """
    if part.suite not in ("clean", "features") or "volume" not in part.contract:
        return []
    try:
        quiet = any(
            tables.without_volume(rows)
            for file in part.files
            for rows in tables.row_groups(file, ["symbol", "volume"])
        )
    except StageError:
        # Checking the part says what is wrong.
        return []
    return tables.of_volume(list(part.contract)) if quiet else []


def with_helpers(frame: pl.DataFrame, part: Part) -> pl.DataFrame:
    """Add the helper columns of a part, if its key columns have their contracted types."""
    sound = all(frame.schema.get(name) == part.contract[name] for name in part.keys)
    if frame.is_empty() or not sound:
        return frame
    return frame.with_columns(helper(frame).alias(name) for name, helper in part.helpers.items())


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

    Great Expectations renders the docs: that takes seconds, so they are written where an
    expectation does not hold, and by each run that finds their folder, so that they are never old.

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
    parts = [part for parts in report.values() for part in parts]
    written = [path]
    if failures(parts) or INDEX.parent.exists():
        publish(suites, by_suite)
        written.append(INDEX)
    log.info(
        "validate: %s: %s expectations, %s not met, quality %s -> %s",
        ", ".join(f"{table} {percent(quality(parts))}" for table, parts in report.items()),
        sum(len(part.outcomes) for part in parts),
        len(failures(parts)),
        percent(overall(report)),
        ", ".join(map(str, written)),
    )
    enforce(report, min_quality, str(INDEX))
