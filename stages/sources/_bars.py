"""From the columns of a user's file to bars: names mapped, texts read, nothing repaired."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Self

import polars as pl
from pydantic import AfterValidator, BeforeValidator, model_validator

from stages.common import tables
from stages.common.errors import InputError, few
from stages.common.options import Options
from stages.common.running import log
from stages.sources import INSTANT, STAMPS, WRITTEN
from stages.sources._cells import BadCells, located
from stages.sources._dates import MICROSECONDS, instants, localised, stamps, walls
from stages.sources._layout import refuse_twins
from stages.sources._names import nearest

ROW = "__row__"
"""The row of the file that a row came from, as an editor or a spreadsheet counts it."""

_DEFAULT_ZONE = "UTC"
"""The zone of hourly stamps, where neither they nor the params name one."""

_MINUTE, _DAY = 60_000_000, 86_400_000_000

_TIME_OF_DAY = r"^\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?$"

_SUMMARY = re.compile(
    r"\s*(?:grand |sub)?(?:total|sum|summary|average|avg|mean|median|min|minimum|max|maximum|count"
    r"|highest|lowest|change|difference|source|note|notes|disclaimer)\b",
    re.IGNORECASE,
)
"""Words with which a row below the bars begins."""

_WORD = re.compile(r"[^\W\d_]{2,}")
_SENTENCE = 3

_LAST = 5
"""How many such rows there may be."""

_CURRENCY = r"\p{Sc}|[A-Z]{3}"
"""The sign of a currency, or its code in ISO 4217."""

_UNITS = {"K": "e3", "M": "e6", "B": "e9", "T": "e12"}
"""Letters behind a number, as investing.com writes volumes."""

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


def without_summary(raw: pl.DataFrame, columns: dict[str, str], file: Path) -> pl.DataFrame:
    """Drop the rows below the bars: a total, an average, the name of the source.

    These are the last rows whose date is such a word, or is not a date in a row without a price.
    The log names each of them.
    """
    dates = raw[columns.get("date") or columns["timestamp"]]
    if dates.dtype != pl.String:
        return raw
    prices = raw.select(columns[name] for name in tables.PRICES)
    priced = prices.select(pl.any_horizontal(pl.all().is_not_null())).to_series()
    end = raw.height
    while end > max(1, raw.height - _LAST) and (text := dates[end - 1]) is not None:
        word = bool(_SUMMARY.match(text))
        # A date has one word at most, the name of its month.
        dated = any(mark.isdigit() for mark in text) and len(_WORD.findall(text)) < _SENTENCE
        if not word and (priced[end - 1] or dated):
            break
        end -= 1
        log.info("%s: row %s (%s) is not a bar, and is left out", file, raw[ROW][end], text)
    return raw.head(end)


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


def numbers(text: pl.Series, *, thousands: str, decimal: str, option: str) -> pl.Series:
    """Read numbers; an empty cell, NaN, NA, null, none or a dash is null.

    Digits must be grouped as thousands are, in threes and (India) twos, so that a decimal comma
    is never taken for one between thousands. `$31.20` and `1.10M` are read too.

    Raises:
        BadCells: a text is not a number, or stands in another currency than the others.
    """
    text = text.str.replace_all(r"[\u{a0}\u{2009}\u{202f}]", " ")
    plain = _without_currency(text)
    grouping = _grouping(thousands, decimal) if thousands else ""
    wrong = pl.Series([False]).new_from_index(0, len(text))
    if thousands:
        grouped = plain.str.contains(thousands, literal=True)
        if grouped.any():
            wrong = grouped & ~plain.str.contains(grouping)
            plain = plain.str.replace_all(thousands, "", literal=True)
    if decimal != ".":
        wrong |= plain.str.contains(".", literal=True)
        plain = plain.str.replace(decimal, ".", literal=True)
    values = plain.cast(pl.Float64, strict=False)
    if values.null_count() > text.null_count():
        # 1.10e6 is read to the last bit, 1.10 times a million is not.
        for unit, power in _UNITS.items():
            plain = plain.str.replace(rf"(?i)^([+-]?[\d.]*\d) ?{unit}$", f"${{1}}{power}")
        values = plain.cast(pl.Float64, strict=False)
    values = values.set(values.is_nan() | wrong, None)
    # Only what is not a number is checked again.
    odd = values.is_null() | values.is_infinite()
    absent = text.filter(odd).str.to_lowercase().is_in(_MISSING).fill_null(value=True)
    bad = odd.arg_true().filter(~absent).to_list()
    if bad:
        sample = text[bad[0]]
        raise BadCells(bad, f"{sample!r} is not a number; {_number_remedy(sample, option)}")
    return values


def _without_currency(text: pl.Series) -> pl.Series:
    """Take the sign of the currency away, where every number of the column bears the same.

    Raises:
        BadCells: some bear another, or none: they may be pence among pounds.
    """
    number = r"[+-]?[\d.,' ]*\d\.?(?: ?[A-Za-z])?"
    shape = rf"^([+-]?)\s*(?:({_CURRENCY})\s*)?({number})\s*({_CURRENCY})?$"
    if not text.str.contains(rf"^[+-]?\s*(?:{_CURRENCY})|(?:{_CURRENCY})$").any():
        return text
    parts = text.str.extract_groups(shape).struct
    before, behind = (parts.field(name).fill_null("") for name in ("2", "4"))
    counts = parts.field("3").is_not_null()
    marks = before + behind
    usual = [*marks.filter(counts).mode().sort(), ""][0]
    odd = (counts & (marks != usual)).arg_true().to_list()
    if odd:
        raise BadCells(
            odd,
            f"{text[odd[0]]!r} does not stand in {usual or 'no currency'} as the other numbers "
            "of this column do; export one currency",
        )
    plain = parts.field("1").fill_null("") + parts.field("3").fill_null("")
    return text.zip_with(~counts, plain)


def _grouping(thousands: str, decimal: str) -> str:
    t, d = re.escape(thousands), re.escape(decimal)
    return rf"^[+-]?\d{{1,3}}(?:{t}\d{{2,3}})*{t}\d{{3}}(?:{d}\d*)?[A-Za-z]?$"


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
