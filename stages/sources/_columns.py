"""Which column of a user's file is which of ours, and how the texts in it are to be read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, model_validator

from stages.common.errors import InputError, few
from stages.common.options import Options
from stages.sources._layout import refuse_twins
from stages.sources._names import nearest


def _at_most_one(text: str) -> str:
    if len(text) > 1:
        raise ValueError(f"must be one character, got {text!r}")
    return text


def _exactly_one(text: str) -> str:
    if not text:
        raise ValueError("must be one character, got ''")
    return _at_most_one(text)


Mark = Annotated[str, AfterValidator(_at_most_one)]
"""A character, or none."""

Delimiter = Annotated[str, AfterValidator(_exactly_one)]


def _by_position(name: object) -> object:
    return str(name) if type(name) is int else name


Column = Annotated[str, BeforeValidator(_by_position)]
"""The name of a column, or its position from 1 where a file has no header row."""


class Columns(Options):
    """What our columns are called in the file: ours to theirs.

    Attributes:
        symbol: null where each file holds one symbol and is named after it.
        date: the session of daily bars and of market series.
        timestamp: the opening time of hourly bars.
        time: the time of day of hourly bars, where `date` holds their day.
        adj_close: null where the file lacks it.
        volume: null where the file lacks it.
    """

    symbol: Column | None = None
    date: Column | None = None
    timestamp: Column | None = None
    time: Column | None = None
    open: Column = "open"
    high: Column = "high"
    low: Column = "low"
    close: Column = "close"
    adj_close: Column | None = None
    volume: Column | None = "volume"

    @model_validator(mode="before")
    @classmethod
    def _default_to_daily(cls, section: object) -> object:
        if isinstance(section, dict) and not section.get("date") and not section.get("timestamp"):
            return {**section, "date": "date"}
        return section

    @model_validator(mode="after")
    def _check_once(self) -> Self:
        theirs = [name for name in self.model_dump().values() if name]
        twice = sorted({name for name in theirs if theirs.count(name) > 1})
        if twice:
            raise ValueError(f"{few(twice)} cannot be two of our columns at once")
        if self.time and (self.timestamp or not self.date):
            raise ValueError("time stands beside date, and takes the place of timestamp")
        return self

    @property
    def hourly(self) -> bool:
        """Whether files beside the folders of each kind hold hourly bars."""
        return bool(self.time) or not self.date


@dataclass(frozen=True)
class Rules:
    """How the files of a source are to be read; see the arguments of `csv.fetch`."""

    source: str
    columns: Columns
    date_format: Sequence[str]
    thousands: str
    decimal: str
    timezone: str | None

    def option(self, name: str) -> str:
        """The key in `params.yaml` that a message is to name."""
        return f"data.sources.{self.source}.{name}"


def mapped(columns: Columns, *, hourly: bool) -> dict[str, str]:
    """Our names to theirs, for those columns that files of a kind must have."""
    unused = ("timestamp", "time") if not hourly else () if columns.time else ("date",)
    return {
        ours: theirs
        for ours, theirs in columns.model_dump().items()
        if theirs is not None and ours not in unused
    }


def actual(header: Sequence[str], file: Path, rules: Rules, *, hourly: bool) -> dict[str, str]:
    """Our names to the names in a file's header, where blanks around a name do not count.

    Raises:
        InputError: a mapped column is not there.
    """
    wanted = mapped(rules.columns, hourly=hourly)
    refuse_twins(file, header, [name.strip() for name in wanted.values()])
    there = {name.strip(): name for name in header}
    columns, missing = {}, []
    for ours, theirs in wanted.items():
        if theirs.strip() in there:
            columns[ours] = there[theirs.strip()]
        else:
            missing.append((ours, theirs))
    if missing:
        ours, theirs = missing[0]
        raise InputError(
            f"{file}: no column {few(repr(theirs) for _, theirs in missing)}; "
            f"{nearest(theirs, there)}it has {few(there, 20)}; "
            f"name it in {rules.option('columns')}.{ours}"
        )
    return columns
