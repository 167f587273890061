"""Text to dates and instants: by the strptime formats of `params.yaml`, never by a guess."""

from collections.abc import Sequence
from datetime import UTC, date
from typing import Protocol

import polars as pl

from stages.common.errors import few
from stages.sources._cells import BadCells
from stages.sources._date_formats import (
    COMMON,
    COUNTED,
    DAYS,
    EPOCHS,
    SERIAL,
    SERIAL_DAYS,
    SERIALS,
    STAMPS,
    strptime,
)

MICROSECONDS = pl.Datetime("us")

_OFFSET = r"\s*(?:Z|UTC|[+-]\d{2}(?::?\d{2})?)$"

# Outside these years polars and strptime read some texts differently ('69' and '0020').
_ALIKE = (date(1700, 1, 1), date(2068, 12, 31))


class Parse(Protocol):
    """Reads texts by one format; null where it does not fit.

    `anyhow` takes numbers that may have another meaning as well.
    """

    def __call__(self, text: pl.Series, form: str, *, anyhow: bool) -> pl.Series: ...


def walls(text: pl.Series, formats: Sequence[str], option: str) -> pl.Series:
    """Read dates with the time of day beside them, as written: an offset does not move them.

    Args:
        text: of dtype String, stripped.
        formats: see `Formats`.
        option: the key in `params.yaml` that holds the formats, for the message.

    Raises:
        BadCells: a text fits no format, or two that say different days.
    """
    return _read(text, formats, (*DAYS, *COUNTED), option, _walls)


def instants(
    text: pl.Series, written: pl.Series, formats: Sequence[str], zone: str | None
) -> pl.Series:
    """The instants of dates that stand with a time of day.

    Args:
        text: as for `walls`.
        written: what `walls` has read of it.
        formats: see `Formats`.
        zone: whose clocks the times without an offset are on, if that is known.

    Returns:
        In UTC; null where there is no offset and no zone.

    Raises:
        BadCells: a time that the clocks of `zone` show twice or never.
    """
    values = pl.Series(text.name, [None] * len(text), dtype=pl.Datetime("us", "UTC"))
    # The default formats are many, and few columns have an offset.
    some = text.str.contains(rf":\d\d[.\d]*{_OFFSET}").any()
    possible = formats or (*(STAMPS if some else ()), *EPOCHS)
    for form in (form for form in possible if "%z" in form or form in EPOCHS):
        if not values.null_count():
            break
        read = _instants(text, form, anyhow=bool(formats))
        values = values.zip_with(values.is_not_null(), read)
    if zone is None or not values.null_count():
        return values
    bare = written.set(values.is_not_null(), None)
    return values.zip_with(values.is_not_null(), localised(bare, zone))


def stamps(text: pl.Series, formats: Sequence[str], option: str, zone: str) -> pl.Series:
    """Read timestamps as UTC; one without an offset is on the clocks of `zone`.

    Raises:
        BadCells: as `walls`, or a time that the clocks of `zone` show twice or never.
    """

    def parse(text: pl.Series, form: str, *, anyhow: bool) -> pl.Series:
        if "%z" in form or form in EPOCHS:
            return _instants(text, form, anyhow=anyhow)
        return localised(_walls(text, form, anyhow=anyhow), zone)

    return _read(text, formats, (*STAMPS, *COUNTED), option, parse)


def localised(wall: pl.Series, zone: str) -> pl.Series:
    """Turn times on the clocks of a zone into UTC.

    Raises:
        BadCells: a time that the clocks show twice or never, when they are put back or forward.
    """
    values = wall.dt.replace_time_zone(zone, ambiguous="null", non_existent="null")
    odd = (values.is_null() & wall.is_not_null()).arg_true().to_list()
    if odd:
        raise BadCells(
            odd,
            f"{wall[odd[0]]} is shown twice or never by the clocks of {zone}; "
            "give the stamps in UTC or with their offset",
        )
    return values.dt.convert_time_zone("UTC")


def _read(
    text: pl.Series,
    formats: Sequence[str],
    default: Sequence[str],
    option: str,
    parse: Parse,
) -> pl.Series:
    if not formats:
        return _read_by_default(text, default, option, parse)
    first, *others = formats
    values = parse(text, first, anyhow=True)
    for other in others:
        also = parse(text, other, anyhow=True)
        clash = (values != also).fill_null(value=False).arg_true().to_list()
        if clash:
            raise BadCells(
                clash,
                f"{text[clash[0]]!r} fits more than one format of {option} "
                f"({few(map(repr, formats))}), and they disagree; keep the exporter's own",
            )
        values = values.zip_with(values.is_not_null(), also)
    unread = (values.is_null() & text.is_not_null()).arg_true().to_list()
    if unread:
        sample = text[unread[0]]
        why = f"does not fit {few(map(repr, formats))}"
        raise BadCells(unread, f"{sample!r} {why}; {_remedy(text, sample, option)}")
    return values


def _read_by_default(
    text: pl.Series,
    default: Sequence[str],
    option: str,
    parse: Parse,
) -> pl.Series:
    """Read every text by the first default format that fits it; they never contradict each other.

    A format is tried on the whole column only where it fits the first text that is not yet read.
    """
    values = parse(text, default[0], anyhow=False)
    left = list(default[1:])
    while unread := (values.is_null() & text.is_not_null()).arg_true().to_list():
        sample = text[unread[0]]
        first = pl.Series([sample])
        form = next((form for form in left if _walls(first, form).null_count() == 0), None)
        if form is None:
            raise BadCells(
                unread,
                f"{sample!r} is in no format that is safe to guess; "
                f"{_remedy(text, sample, option)}",
            )
        left.remove(form)
        values = values.zip_with(values.is_not_null(), parse(text, form, anyhow=False))
    return values


def _remedy(text: pl.Series, sample: str, option: str) -> str:
    """Name the common formats that fit every row of the column."""
    present = text.drop_nulls()
    fitting = [
        repr(candidate)
        for candidate in COMMON
        if strptime(sample, candidate) is not None and _walls(present, candidate).null_count() == 0
    ]
    match fitting:
        case []:
            return f"correct the file, or set {option} to its own format, such as '%d/%m/%Y'"
        case [one]:
            return f"set {option} to {one}, which fits every row"
        case _:
            return (
                f"set {option} to the one that the exporter used: "
                f"{' or '.join(fitting)} (each fits every row)"
            )


def _counted(text: pl.Series, form: str, *, anyhow: bool) -> pl.Series:
    """Numbers that count from a day on as times without a zone, null where there is none.

    Args:
        text: of the cells.
        form: one of `COUNTED`.
        anyhow: also numbers that may have another meaning.
    """
    number = text.str.extract(r"^(-?\d+(?:\.\d+)?)$").cast(pl.Float64)
    if form == SERIAL:
        least, most = SERIALS
        # Seconds, since a fraction of a day in decimals is not an exact time.
        seconds = (number * 86_400).round().cast(pl.Int64, strict=False)
        micros = (seconds - SERIAL_DAYS * 86_400) * 10**6
    else:
        step, least, most = EPOCHS[form]
        whole = text.str.extract(r"^(-?\d+)(?:\.0*)?$").cast(pl.Int64, strict=False)
        exact = whole * int(step) if step >= 1 else whole // 1000
        rounded = (number * step).round().cast(pl.Int64, strict=False)
        micros = exact.zip_with(exact.is_not_null(), rounded)
    if not anyhow:
        micros = micros.set(~number.is_between(least, most), None)
    return micros.cast(MICROSECONDS)


def _walls(text: pl.Series, form: str, *, anyhow: bool = False) -> pl.Series:
    """Times as written, without their offset; null where the text does not fit."""
    if form in COUNTED:
        return _counted(text, form, anyhow=anyhow)
    if form.endswith("%z"):
        text = text.str.replace(_OFFSET, "")
        form = form.removesuffix("%z").rstrip()
    values = _fast(text, form)
    return _slow(text, form, values, instant=False)


def _instants(text: pl.Series, form: str, *, anyhow: bool) -> pl.Series:
    """Times in UTC by the offset beside them; null where the text does not fit."""
    if form in EPOCHS:
        return _counted(text, form, anyhow=anyhow).dt.replace_time_zone("UTC")
    text = text.str.replace(r"\s*(?:Z|UTC)$", "+0000")
    text = text.str.replace(r"\s*([+-]\d{2})$", "${1}00").str.replace(r"\s+([+-][\d:]+)$", "$1")
    return _slow(text, form, _fast(text, form, time_zone="UTC"), instant=True)


def _fast(text: pl.Series, form: str, time_zone: str | None = None) -> pl.Series:
    nothing = pl.Series(text.name, [None] * len(text), dtype=pl.Datetime("us", time_zone))
    # What strptime calls %f, polars calls %.f, the point included.
    form = form.replace(".%f", "%.f")
    if "%f" in form:
        return nothing
    try:
        return text.str.to_datetime(form, strict=False, time_unit="us", time_zone=time_zone)
    except pl.exceptions.PolarsError:
        return nothing


def _slow(text: pl.Series, form: str, values: pl.Series, *, instant: bool) -> pl.Series:
    """Let strptime itself read what polars has not read, or may have read otherwise."""
    alike = values.dt.date().is_between(*_ALIKE).fill_null(value=False)
    left = text.filter(~alike).drop_nulls().unique(maintain_order=True)
    if left.is_empty():
        return values
    read = [strptime(one, form) for one in left]
    parsed = [
        None if one is None else one.astimezone(UTC) if instant else one.replace(tzinfo=None)
        for one in read
    ]
    slow = text.replace_strict(
        left, pl.Series(parsed, dtype=values.dtype), default=None, return_dtype=values.dtype
    )
    return values.zip_with(alike, slow)
