"""The formats in which dates and stamps are read, and what `params.yaml` may name."""

import re
import warnings
from datetime import UTC, date, datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator

from stages.common.errors import few

_TIMES = (" %H:%M:%S", " %H:%M", "T%H:%M:%S", " %H:%M:%S.%f", "T%H:%M:%S.%f")
_INSTANTS = (*_TIMES, *(f"{time}%z" for time in _TIMES))

_ONE_MEANING = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d"),
    *(f"%d{mark}{month}{mark}%Y" for mark in "- " for month in ("%b", "%B")),
    *("%b %d, %Y", "%B %d, %Y", "%Y-%b-%d"),
)

STAMPS = tuple(
    f"{day}{time}"
    for time in (*_INSTANTS, " %H%M%S")
    for day in ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%d-%b-%Y")
)
"""Formats of hourly stamps that can be read in one way only."""

DAYS = (*_ONE_MEANING, *STAMPS)
"""Formats of days that can be read in one way only: the year first, or the month by its name."""

EPOCHS = {
    "epoch_s": (10**6, 100_000_000, 1_990_000_000),
    "epoch_ms": (10**3, 220_000_000_000, 1_990_000_000_000),
    "epoch_us": (1, 220_000_000_000_000, 1_990_000_000_000_000),
    "epoch_ns": (10**-3, 220_000_000_000_000_000, 1_990_000_000_000_000_000),
}
"""Formats that count since 1970: microseconds in each step, and the span (up to 2033) in which a
number can be nothing else, neither 20230306 nor 2023030610."""

SERIAL = "excel"
SERIALS = (30_000, 54_000)
"""Excel counts days since 1899-12-30. From 1982 to 2047 they cannot be a year and the number of a
day, such as 23065."""
SERIAL_DAYS = (date(1970, 1, 1) - date(1899, 12, 30)).days

COUNTED = (*EPOCHS, SERIAL)
"""Formats that count from a day on."""

_DAY_FORMATS = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d"),
    *(
        f"{first}{mark}{second}{mark}{year}"
        for mark in "/-."
        for year in ("%Y", "%y")
        for first, second in (("%d", "%m"), ("%m", "%d"))
    ),
    *("%d-%b-%Y", "%d-%b-%y", "%d-%B-%Y", "%d-%B-%y", "%d %b %Y", "%d %B %Y"),
    *("%b %d, %Y", "%B %d, %Y"),
)
COMMON = tuple(f"{day}{time}" for time in ("", *_INSTANTS) for day in _DAY_FORMATS)
"""What an error may propose, also where it can be read in two ways."""

_PACKED = re.compile(r"%[dmHMS]%[dmyYHMS]|%Y%[dm]")


def _listed(value: object) -> object:
    return ([value] if value else []) if isinstance(value, str) else value


def _complete(formats: list[str]) -> list[str]:
    for text in formats:
        if text not in COUNTED and not _names_a_day(text):
            raise ValueError(
                f"{text!r} does not hold year, month and day; write it in the directives of "
                f"strptime, such as '%d/%m/%Y', or as {few(COUNTED, 9)}"
            )
    return formats


def _names_a_day(text: str) -> bool:
    probe = datetime(2021, 11, 23, 22, tzinfo=UTC)
    read = strptime(probe.strftime(text), text)
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


def strptime(text: str, form: str) -> datetime | None:
    """One text by one format; None where it does not fit."""
    with warnings.catch_warnings():
        # Python 3.13 warns of formats without a year, which are refused here anyway.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            read = datetime.strptime(text, form)  # noqa: DTZ007  # the zone comes later
        except ValueError:
            return None
    # strptime lets a digit be missing, and then splits '2023111' in one of two ways.
    packed = "%z" not in form and _PACKED.search(form)
    return None if packed and len(text) != len(read.strftime(form)) else read
