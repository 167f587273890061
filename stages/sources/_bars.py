"""From the columns of a user's file to bars: names mapped, texts read, nothing repaired."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

import polars as pl
from pydantic import AfterValidator, model_validator

from stages.common import tables
from stages.common.errors import InputError, few
from stages.common.options import Options
from stages.sources import INSTANT, STAMPS, WRITTEN
from stages.sources._cells import BadCells, located
from stages.sources._dates import MICROSECONDS, instants, localised, stamps, walls
from stages.sources._names import nearest

ROW = "__row__"
"""The row of the file that a row came from, as an editor or a spreadsheet counts it."""

_UNSAID = "UTC"
"""The zone of hourly stamps that name none, where the params name none either."""

_MINUTE, _DAY = 60_000_000, 86_400_000_000

_MISSING = ("", "-", "--", "na", "n/a", "nan", "null", "none")


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


class Columns(Options):
    """What our columns are called in the file: ours to theirs.

    Attributes:
        symbol: null where each file holds one symbol and is named after it.
        date: the session of daily bars and of market series.
        timestamp: the opening time of hourly bars.
        adj_close: null where the file lacks it.
        volume: null where the file lacks it.
    """

    symbol: str | None = None
    date: str | None = None
    timestamp: str | None = None
    open: str = "open"
    high: str = "high"
    low: str = "low"
    close: str = "close"
    adj_close: str | None = None
    volume: str | None = "volume"

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
        return self


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
    unused = "date" if hourly else "timestamp"
    return {
        ours: theirs
        for ours, theirs in columns.model_dump().items()
        if theirs is not None and ours != unused
    }


def actual(header: Sequence[str], file: Path, rules: Rules, *, hourly: bool) -> dict[str, str]:
    """Our names to the names in a file's header, where blanks around a name do not count.

    Raises:
        InputError: a mapped column is not there.
    """
    there = {name.strip(): name for name in header}
    columns, missing = {}, []
    for ours, theirs in mapped(rules.columns, hourly=hourly).items():
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


def bars(
    raw: pl.DataFrame, columns: dict[str, str], file: Path, rules: Rules, symbol: str | None
) -> pl.DataFrame:
    """Bars in the columns of `tables.RAW_DAILY` or `tables.RAW_HOURLY`, in the file's order.

    Where the dates are stamps with a time of day, the columns of `STAMPS` stand beside them.

    Args:
        raw: the columns `found.values()` and `ROW`.
        found: see `actual`.
        file: for the messages.
        rules: how texts are read.
        symbol: of all rows, or None where a column names it.

    Raises:
        InputError: a cell cannot be read; the message names file, column, row and text.
    """
    contract = tables.RAW_HOURLY if "timestamp" in columns else tables.RAW_DAILY

    def column(ours: str, read: Callable[[pl.Series], pl.DataFrame | pl.Series]) -> pl.DataFrame:
        try:
            values = read(raw[columns[ours]])
        except BadCells as error:
            raise located(error, file, columns[ours].strip(), raw[ROW]) from None
        return values.to_frame(ours) if isinstance(values, pl.Series) else values

    readers: dict[str, Callable[[pl.Series], pl.DataFrame | pl.Series]] = {
        "symbol": _symbols,
        "date": lambda values: _dates(values, rules),
        "timestamp": lambda values: _timestamps(values, rules),
    }
    table = pl.concat(
        [
            column(ours, readers.get(ours, lambda values: _numbers(values, rules)))
            for ours in contract
            if ours in columns
        ],
        how="horizontal",
    )
    absent = [
        pl.lit(symbol if ours == "symbol" else None, dtype=dtype).alias(ours)
        for ours, dtype in contract.items()
        if ours not in columns
    ]
    beside = [name for name in STAMPS if name in table.columns]
    return table.with_columns(absent).select(*contract, *beside)


def _symbols(values: pl.Series) -> pl.Series:
    return values.cast(pl.String).str.strip_chars()


def _dates(values: pl.Series, rules: Rules) -> pl.DataFrame:
    """The column `date`, as written; and those of `STAMPS` where a time of day says more."""
    if values.dtype == pl.Date:
        written = values.cast(MICROSECONDS)
    elif isinstance(values.dtype, pl.Datetime):
        written = values.dt.cast_time_unit("us").dt.replace_time_zone(None)
    elif values.dtype == pl.String:
        values = _stripped(values)
        written = walls(values, rules.date_format, rules.option("date_format"))
    else:
        raise BadCells([0], f"{values.dtype} is neither a date nor text; export it as one")
    _refuse(written.is_null(), values, "is empty; a bar needs its date")
    dates = written.dt.date().to_frame("date")
    # Midnight, or the last minute of a day, is how a whole day is written.
    time = written.to_physical() % _DAY
    if ((time == 0) | (time >= _DAY - _MINUTE)).all():
        return dates
    return dates.with_columns(
        written.alias(WRITTEN), _instants(values, written, rules).alias(INSTANT)
    )


def _instants(values: pl.Series, written: pl.Series, rules: Rules) -> pl.Series:
    if values.dtype == pl.String:
        return instants(values, written, rules.date_format, rules.timezone)
    if isinstance(values.dtype, pl.Datetime) and values.dtype.time_zone is not None:
        return values.dt.cast_time_unit("us").dt.convert_time_zone("UTC")
    if rules.timezone is not None:
        return localised(written, rules.timezone)
    return pl.Series([None] * len(written), dtype=tables.UTC)


def _timestamps(values: pl.Series, rules: Rules) -> pl.Series:
    if isinstance(values.dtype, pl.Datetime):
        exact = values.dt.cast_time_unit("us")
        if values.dtype.time_zone is None:
            read = localised(exact, rules.timezone or _UNSAID)
        else:
            read = exact.dt.convert_time_zone("UTC")
    elif values.dtype == pl.String:
        option = rules.option("date_format")
        read = stamps(_stripped(values), rules.date_format, option, rules.timezone or _UNSAID)
    else:
        raise BadCells([0], f"{values.dtype} is neither a timestamp nor text; export it as one")
    _refuse(read.is_null(), values, "is empty; a bar needs its timestamp")
    return read


def _numbers(values: pl.Series, rules: Rules) -> pl.Series:
    if values.dtype == pl.String:
        return numbers(
            _stripped(values),
            thousands=rules.thousands,
            decimal=rules.decimal,
            option=rules.option("thousands"),
        )
    if not (values.dtype.is_numeric() or values.dtype == pl.Null):
        raise BadCells([0], f"{values.dtype} is not a number; export the column as numbers")
    read = values.cast(pl.Float64)
    _refuse(read.is_infinite().fill_null(value=False), read, "is not a price or volume")
    return read


def numbers(text: pl.Series, *, thousands: str, decimal: str, option: str) -> pl.Series:
    """Read numbers; an empty cell, NaN, NA, null, none or a dash is null.

    Digits must be grouped as thousands are, in threes and (India) twos, so that a decimal comma
    is never taken for one between thousands.

    Raises:
        BadCells: a text is not a number.
    """
    plain = text
    wrong = pl.Series([False]).new_from_index(0, len(text))
    if thousands:
        grouped = text.str.contains(thousands, literal=True)
        if grouped.any():
            wrong = grouped & ~text.str.contains(_grouping(thousands, decimal))
            plain = plain.str.replace_all(thousands, "", literal=True)
    if decimal != ".":
        wrong |= plain.str.contains(".", literal=True)
        plain = plain.str.replace(decimal, ".", literal=True)
    values = plain.cast(pl.Float64, strict=False)
    values = values.set(values.is_nan() | wrong, None)
    # Only what is not a number is looked at again.
    odd = values.is_null() | values.is_infinite()
    absent = text.filter(odd).str.to_lowercase().is_in(_MISSING).fill_null(value=True)
    bad = odd.arg_true().filter(~absent).to_list()
    if bad:
        sample = text[bad[0]]
        raise BadCells(bad, f"{sample!r} is not a number; {_number_remedy(sample, option)}")
    return values


def _grouping(thousands: str, decimal: str) -> str:
    t, d = re.escape(thousands), re.escape(decimal)
    return rf"^[+-]?\d{{1,3}}(?:{t}\d{{2,3}})*{t}\d{{3}}(?:{d}\d*)?$"


def _number_remedy(sample: str, option: str) -> str:
    for mark in ",. '":
        other = "," if mark == "." else "."
        if mark in sample and re.match(_grouping(mark, other), sample):
            where = option.removesuffix("thousands")
            return (
                f"set {option} to {mark!r} and {where}decimal to {other!r} if these are thousands"
            )
    return "correct the file (an empty cell stands for no value)"


def _stripped(values: pl.Series) -> pl.Series:
    text = values.str.strip_chars()
    return text.set((text == "").fill_null(value=False), None)


def _refuse(bad: pl.Series, values: pl.Series, problem: str) -> None:
    at = bad.arg_true().to_list()
    if at:
        sample = values[at[0]]
        raise BadCells(at, problem if sample is None or sample == "" else f"{sample} {problem}")
