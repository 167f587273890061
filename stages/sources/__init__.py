"""Where bars come from: one module per source, each with one function `fetch`.

`data.source` in `params.yaml` names the module; `data.sources.<name>` holds the keyword-only
arguments of its `fetch`. To add a source, add a module; nothing else lists the sources.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import ConfigDict, field_validator, model_validator

from stages.common.errors import few
from stages.common.mistakes import NestedError, below, each, options
from stages.common.options import Names
from stages.common.sections import DataParams
from stages.common.tables import Kind
from stages.common.text import nearest, unknown

WRITTEN, INSTANT = STAMPS = ("written", "instant")
"""Columns beside daily dates with a time of day: the time as written, without a zone, and the same
instant in UTC, null where the file names no zone."""

PUBLISHED = "published_at"
"""The column of the time when a number was published, in UTC; null where only its date is known."""


@dataclass(frozen=True)
class Request:
    """What ingest asks of a source.

    Attributes:
        symbols: the symbols wanted; empty means every symbol that the source has.
        market: the market series wanted (an index, VIX), by name.
        as_of: newest session wanted; ingest cuts the bars and actions that come after it.
        path: `data.path`, the folder or file that file sources read.
        known: newest session of the former bars, per (kind, symbol); a network source fetches
            only what follows it, a local one may ignore it.
        symbol_levels: the series wanted that have a number for each symbol, by name.
    """

    symbols: tuple[str, ...]
    market: tuple[str, ...]
    as_of: date
    path: Path
    known: Mapping[tuple[Kind, str], date] = field(default_factory=dict)
    symbol_levels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Series:
    """One symbol's bars as a source has them, in its own order, with nothing repaired.

    The numbers of a level for one symbol are a market series, named by `sections.of_symbol`.

    Attributes:
        bars: in the columns of `tables.RAW_DAILY` or `tables.RAW_HOURLY`. Beside `date` there may
            be the columns of `STAMPS`, or beside that of a market series `PUBLISHED`, from which
            ingest takes the session.
        actions: corporate actions in the columns of `tables.ACTIONS`, or None where the source
            knows none.
        partial: the bars only continue the former ones (`Request.known`); where they overlap it,
            they replace it.
    """

    kind: Kind
    symbol: str
    bars: pl.DataFrame
    actions: pl.DataFrame | None = None
    partial: bool = False


Fetch = Callable[..., Iterator[Series]]


def names() -> list[str]:
    """The sources that exist: the modules of this package."""
    return sorted(
        module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")
    )


def load(name: str) -> Fetch:
    """Return the `fetch` of a source by its module's name."""
    fetch: Any = importlib.import_module(f"{__name__}.{name}").fetch
    return fetch  # type: ignore[no-any-return]  # a module attribute has no static type


class SourceParams(DataParams):
    """The whole section `data:` of `params.yaml`: where bars come from, which, and up to when."""

    model_config = ConfigDict(extra="forbid")

    source: str
    path: Path
    start: date | None = None
    symbols: Names
    sources: dict[str, dict[str, Any]]

    @field_validator("sources")
    @classmethod
    def _check_sources(cls, sections: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        return each(sections, _options)

    @model_validator(mode="after")
    def _check_source(self) -> "SourceParams":
        if self.source not in names():
            raise NestedError([f"source: {unknown('source', self.source, names())}"])
        if self.source not in self.sources:
            try:
                self.sources.update(each({self.source: {}}, _options))
            except NestedError as error:
                raise NestedError(below("sources", error)) from None
        if self.start is not None and self.start > self.as_of:
            raise NestedError([f"start: {self.start} is after data.as_of, {self.as_of}"])
        both = sorted(set(self.symbols) & set(self.market))
        if both:
            raise NestedError([f"market: {few(both)} cannot be in symbols as well"])
        strange = [name for name in self.levels if name not in self.market]
        if strange:
            raise NestedError(
                [
                    f"levels: data.market has no {name}{nearest(name, self.market)}; add it there, "
                    "or take it out of data.levels"
                    for name in strange
                ]
            )
        twice = [name for name in self.symbol_levels if name in self.market]
        if twice:
            raise NestedError([f"symbol_levels: {few(twice)} cannot be in market as well"])
        return self

    @property
    def source_options(self) -> dict[str, Any]:
        """The keyword arguments of the chosen source's `fetch`."""
        return self.sources[self.source]


def _options(name: str, section: Mapping[str, Any]) -> dict[str, Any]:
    if name not in names():
        raise ValueError(unknown("source", name, names()))
    return options(load(name), section)
