"""From the columns of a user's file to bars: names mapped, texts read, nothing repaired."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from stages.common import tables
from stages.sources import INSTANT, STAMPS, WRITTEN
from stages.sources._cells import ROW, BadCells, located
from stages.sources._columns import Rules
from stages.sources._dates import MICROSECONDS, instants, localised, stamps, walls
from stages.sources._numbers import numbers

_DEFAULT_ZONE = "UTC"
"""The zone of hourly stamps, where neither they nor the params name one."""

_MINUTE, _DAY = 60_000_000, 86_400_000_000

_TIME_OF_DAY = r"^\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?$"


def bars(
    raw: pl.DataFrame, columns: dict[str, str], file: Path, rules: Rules, symbol: str | None
) -> pl.DataFrame:
    """Bars in the columns of `tables.RAW_DAILY` or `tables.RAW_HOURLY`, in the file's order.

    Where the dates are stamps with a time of day, the columns of `STAMPS` stand beside them.

    Args:
        raw: the columns `columns.values()` and `ROW`.
        columns: see `actual`.
        file: for the messages.
        rules: how texts are read.
        symbol: of all rows, or None where a column names it.

    Raises:
        InputError: a cell cannot be read; the message names file, column, row and text.
    """
    contract = tables.RAW_HOURLY if {"timestamp", "time"} & {*columns} else tables.RAW_DAILY
    if "time" in columns:
        whole = pl.concat_str(columns["date"], columns["time"], separator=" ").alias("timestamp")
        raw = raw.with_columns(whole)
        columns = {**columns, "timestamp": "timestamp"}

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
    else:
        values = _text(values, "date")
        written = walls(values, rules.date_format, rules.option("date_format"))
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


def publications(values: pl.Series, rules: Rules, *, needed: bool) -> pl.Series:
    """Read when numbers were published, in UTC.

    Args:
        values: the cells.
        rules: how texts are read.
        needed: whether every number needs one.

    Raises:
        BadCells: a stamp names no zone or no time of day, or cannot be read.
    """
    # A format of days is that of other files, or of the column date.
    formats = [form for form in rules.date_format if "%H" in form]
    if isinstance(values.dtype, pl.Datetime) or values.dtype == pl.Date:
        written = values.cast(MICROSECONDS) if values.dtype == pl.Date else values
        written = written.dt.cast_time_unit("us").dt.replace_time_zone(None)
    else:
        values = _text(values, "time")
        written = walls(values, formats, rules.option("date_format"))
    if needed:
        _refuse(written.is_null(), values, "is empty; a value needs its publication, or a date")
    zoned = _instants(values, written, replace(rules, date_format=formats, timezone=None))
    bare = written.is_not_null() & zoned.is_null()
    _refuse(
        bare & (written.to_physical() % _DAY == 0),
        values,
        "has no time of day; call the column date if the day is all that is known",
    )
    if rules.timezone is None:
        _refuse(
            bare,
            values,
            "names no time zone; write the offset behind it, as in 2021-03-05 16:30:00+05:30, or "
            f"set {rules.option('timezone')}",
        )
        return zoned
    return zoned.zip_with(~bare, localised(written, rules.timezone))


def _timestamps(values: pl.Series, rules: Rules) -> pl.Series:
    if isinstance(values.dtype, pl.Datetime):
        exact = values.dt.cast_time_unit("us")
        if values.dtype.time_zone is None:
            read = localised(exact, rules.timezone or _DEFAULT_ZONE)
        else:
            read = exact.dt.convert_time_zone("UTC")
    else:
        text = _text(values, "timestamp")
        _refuse(
            text.str.contains(_TIME_OF_DAY).fill_null(value=False),
            text,
            f"is a time without a day; name the column of the day in {rules.option('columns')}.date"
            f" and this one in {rules.option('columns')}.time",
        )
        formats = _with_time(rules.date_format) if rules.columns.time else rules.date_format
        option = rules.option("date_format")
        read = stamps(text, formats, option, rules.timezone or _DEFAULT_ZONE)
    _refuse(read.is_null(), values, "is empty; a bar needs its timestamp")
    return read


def _text(values: pl.Series, what: str) -> pl.Series:
    """Cells as stripped text; whole numbers without a decimal point."""
    if values.dtype.is_numeric():
        whole = values.cast(pl.Int64, strict=False)
        values = (whole if (whole == values).all() else values).cast(pl.String)
    if values.dtype == pl.Null:
        values = values.cast(pl.String)
    if values.dtype != pl.String:
        raise BadCells([0], f"{values.dtype} is neither a {what} nor text; export it as one")
    return _stripped(values)


def _with_time(formats: Sequence[str]) -> list[str]:
    """Formats of a day, and of the time that stands in a column of its own."""
    return [
        whole
        for form in formats
        for whole in ([form] if "%H" in form else [f"{form} %H:%M:%S", f"{form} %H:%M"])
    ]


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


def _stripped(values: pl.Series) -> pl.Series:
    text = values.str.strip_chars()
    return text.set((text == "").fill_null(value=False), None)


def _refuse(bad: pl.Series, values: pl.Series, problem: str) -> None:
    at = bad.arg_true().to_list()
    if at:
        sample = values[at[0]]
        raise BadCells(at, problem if sample is None or sample == "" else f"{sample} {problem}")
