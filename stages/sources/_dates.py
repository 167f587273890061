"""Text to dates and instants: by the strptime formats of `params.yaml`, never by a guess."""

import warnings
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import polars as pl
from pydantic import AfterValidator, BeforeValidator

from stages.common.errors import few
from stages.sources._cells import BadCells

MICROSECONDS = pl.Datetime("us")

_TIMES = (" %H:%M:%S", " %H:%M", "T%H:%M:%S", " %H:%M:%S.%f", "T%H:%M:%S.%f")
_INSTANTS = (*_TIMES, *(f"{time}%z" for time in _TIMES))

STAMPS = tuple(f"%Y-%m-%d{time}" for time in _INSTANTS)
"""Formats of hourly stamps that can be read in one way only."""

DAYS = ("%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%d-%b-%Y", "%d %b %Y", "%b %d, %Y", *STAMPS)
"""Formats of days that can be read in one way only: the year first, or the month by its name."""

_DAY_FORMATS = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d"),
    *(
        f"{first}{mark}{second}{mark}{year}"
        for mark in "/-."
        for year in ("%Y", "%y")
        for first, second in (("%d", "%m"), ("%m", "%d"))
    ),
    *("%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y"),
)
_COMMON = tuple(f"{day}{time}" for time in ("", *_INSTANTS) for day in _DAY_FORMATS)

_OFFSET = r"\s*(?:Z|UTC|[+-]\d{2}:?\d{2})$"

# Outside these years polars and strptime read some texts differently ('69' and '0020').
_ALIKE = (date(1700, 1, 1), date(2068, 12, 31))


def _listed(value: object) -> object:
    return ([value] if value else []) if isinstance(value, str) else value


def _complete(formats: list[str]) -> list[str]:
    for text in formats:
        if not _names_a_day(text):
            raise ValueError(
                f"{text!r} does not hold year, month and day; write it in the directives of "
                "strptime, such as '%d/%m/%Y'"
            )
    return formats


def _names_a_day(text: str) -> bool:
    probe = datetime(2021, 11, 23, 22, tzinfo=UTC)
    read = _strptime(probe.strftime(text), text)
    return read is not None and read.date() == probe.date()


Formats = Annotated[list[str], BeforeValidator(_listed), AfterValidator(_complete)]
"""One format or several; none stands for those that can be read in one way only."""


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"unknown time zone {name!r}; write it like 'Asia/Kolkata'") from None
    return name


Zone = Annotated[str, AfterValidator(_known_zone)]


def days(text: pl.Series, formats: Sequence[str], option: str) -> pl.Series:
    """Read dates, as written: a time of day or an offset beside the date does not move it.

    Args:
        text: of dtype String, stripped.
        formats: see `Formats`.
        option: the key in `params.yaml` that holds the formats, for the message.

    Raises:
        BadCells: a text fits no format, or two that say different days.
    """
    return _read(text, formats, DAYS, option, _walls).dt.date()


def stamps(text: pl.Series, formats: Sequence[str], option: str, zone: str) -> pl.Series:
    """Read timestamps as UTC; one without an offset is on the clocks of `zone`.

    Raises:
        BadCells: as `days`, or a time that the clocks of `zone` show twice or never.
    """

    def parse(text: pl.Series, form: str) -> pl.Series:
        return _instants(text, form) if "%z" in form else localised(_walls(text, form), zone)

    return _read(text, formats, STAMPS, option, parse)


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
    asked: Sequence[str],
    default: Sequence[str],
    option: str,
    parse: Callable[[pl.Series, str], pl.Series],
) -> pl.Series:
    first, *others = asked or default
    values = parse(text, first)
    for other in others:
        # Formats of the user may contradict each other; the default ones cannot.
        if not asked and values.null_count() == text.null_count():
            break
        also = parse(text, other)
        clash = (values != also).fill_null(value=False).arg_true().to_list()
        if clash:
            raise BadCells(
                clash,
                f"{text[clash[0]]!r} fits more than one format of {option} "
                f"({few(map(repr, asked))}), and they disagree; keep the exporter's own",
            )
        values = values.zip_with(values.is_not_null(), also)
    unread = (values.is_null() & text.is_not_null()).arg_true().to_list()
    if unread:
        sample = text[unread[0]]
        why = (
            f"does not fit {few(map(repr, asked))}"
            if asked
            else "is in no format that is safe to guess"
        )
        raise BadCells(unread, f"{sample!r} {why}; {_remedy(text, sample, option)}")
    return values


def _remedy(text: pl.Series, sample: str, option: str) -> str:
    """Name the common formats that fit every row of the column."""
    present = text.drop_nulls()
    fitting = [
        repr(candidate)
        for candidate in _COMMON
        if _strptime(sample, candidate) is not None and _walls(present, candidate).null_count() == 0
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


def _walls(text: pl.Series, form: str) -> pl.Series:
    """Times as written, without their offset; null where the text does not fit."""
    if form.endswith("%z"):
        text = text.str.replace(_OFFSET, "")
        form = form.removesuffix("%z").rstrip()
    values = _fast(text, form)
    return _slow(text, form, values, instant=False)


def _instants(text: pl.Series, form: str) -> pl.Series:
    """Times in UTC by the offset beside them; null where the text does not fit."""
    text = text.str.replace(r"\s*(?:Z|UTC)$", "+0000")
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
    read = [_strptime(one, form) for one in left]
    parsed = [
        None if one is None else one.astimezone(UTC) if instant else one.replace(tzinfo=None)
        for one in read
    ]
    slow = text.replace_strict(
        left, pl.Series(parsed, dtype=values.dtype), default=None, return_dtype=values.dtype
    )
    return values.zip_with(alike, slow)


def _strptime(text: str, form: str) -> datetime | None:
    with warnings.catch_warnings():
        # Python 3.13 warns of formats without a year, which are refused here anyway.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return datetime.strptime(text, form)  # noqa: DTZ007  # the zone comes later
        except ValueError:
            return None
