"""What metrics/ holds of one horizon, at one revision."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from dashboard.charts.metric_plots import PLOTS
from dashboard.file_stamp import Stamp, stamp
from stages.common.errors import InputError, few
from stages.common.paths import METRICS
from versions.repository import pipeline
from versions.repository.pipeline import PARAMS_FILE
from versions.results import revision_files
from versions.results.known_revisions import WORKSPACE

TABLES: Final = tuple(PLOTS)
"""The names of `metrics/<horizon>/*.csv` that the page reads."""

DOCUMENTS: Final = ("backtest", "cross_section")
"""The names of `metrics/<horizon>/*.json`."""

_TEXT: Final = ("symbol", "model", "part", "feature", "portfolio")


@dataclass(frozen=True)
class HorizonMetrics:
    """The results of one horizon; what a revision lacks is empty.

    Attributes:
        summary: `metrics/<horizon>.json`, the scores of the served forecast.
        tables: by name, of `TABLES`; one is missing or empty where the revision has no such chart.
        documents: by name, of `DOCUMENTS`; likewise.
        params: the content of `params.yaml`.
    """

    summary: Mapping[str, float | None]
    tables: Mapping[str, pl.DataFrame]
    documents: Mapping[str, Mapping[str, Any]]
    params: Mapping[str, Any]

    def table(self, name: str) -> pl.DataFrame:
        """A table; without columns if the revision lacks it."""
        return self.tables.get(name, pl.DataFrame())

    @property
    def empty(self) -> bool:
        """Whether nothing was evaluated there."""
        return self.table("scores").is_empty()


def paths(horizon: str) -> dict[str, Path]:
    """The files that `read` reads, by name."""
    folder = METRICS / horizon
    return {
        "params": PARAMS_FILE,
        "summary": METRICS / f"{horizon}.json",
        **{name: folder / f"{name}.csv" for name in TABLES},
        **{name: folder / f"{name}.json" for name in DOCUMENTS},
    }


def horizons(folder: Path | None = None) -> list[str]:
    """The horizons of the working tree's params.yaml; without one, those that have metrics."""
    params = pipeline.parse(
        revision_files.contents("", [PARAMS_FILE], folder).get(str(PARAMS_FILE))
    )
    named = params.get("horizons")
    if isinstance(named, Mapping) and named:
        return list(map(str, named))
    return sorted(file.parent.name for file in ((folder or Path()) / METRICS).glob("*/scores.csv"))


def stamps(horizon: str, folder: Path | None = None) -> tuple[Stamp, ...]:
    """The stamps of the files in the working tree, by which their content is cached."""
    return tuple(stamp((folder or Path()) / path) for path in paths(horizon).values())


def read(commit: str, horizon: str, folder: Path | None = None) -> HorizonMetrics:
    """The results of a horizon.

    Args:
        commit: its hash; empty for the working tree.
        horizon: its name.
        folder: of the project; the working folder by default.

    Raises:
        VersionError: git cannot be asked.
        InputError: a file is there and cannot be read.
    """
    where = paths(horizon)
    contents = revision_files.contents(commit, list(where.values()), folder)
    texts = {name: contents[str(path)] for name, path in where.items() if str(path) in contents}

    def document(name: str) -> Mapping[str, Any]:
        try:
            content = json.loads(texts[name])
        except ValueError as error:
            raise _unreadable(where[name], commit, error) from None
        return content if isinstance(content, Mapping) else {}

    def table(name: str) -> pl.DataFrame:
        try:
            frame = _table(texts[name])
        except pl.exceptions.PolarsError as error:
            raise _unreadable(where[name], commit, error) from None
        lacking = sorted(PLOTS[name].columns - set(frame.columns))
        if lacking and not commit:
            raise _unreadable(where[name], commit, f"it has no column {few(lacking)}")
        # An older revision may not have known a column: it has no such chart.
        return pl.DataFrame() if lacking else frame

    return HorizonMetrics(
        summary=document("summary") if "summary" in texts else {},
        tables={name: table(name) for name in TABLES if name in texts},
        documents={name: document(name) for name in DOCUMENTS if name in texts},
        params=pipeline.parse(texts.get("params")),
    )


def _table(text: bytes) -> pl.DataFrame:
    """A CSV; names are text even where they look like numbers, and an empty column has numbers."""
    frame = pl.read_csv(io.BytesIO(text), infer_schema=False)
    numbers = [name for name in frame.columns if name not in {*_TEXT, "date"}]
    dates = [pl.col(name).str.to_date() for name in frame.columns if name == "date"]
    return frame.with_columns(pl.col(numbers).cast(pl.Float64), *dates)


def _unreadable(path: Path, commit: str, error: object) -> InputError:
    lines = str(error).strip().splitlines()
    return InputError(
        f"{path} of {commit[:10] or WORKSPACE} cannot be read: {lines[0] if lines else 'no text'}; "
        "`dvc repro` writes it again"
    )
