"""Spans of time that a viewer chooses, and how long ago something was, in words."""

from datetime import datetime, timedelta
from typing import Final

from monitor.store.metric_history import Grain

SPANS: Final[dict[str, timedelta | None]] = {
    "1 day": timedelta(days=1),
    "7 days": timedelta(days=7),
    "30 days": timedelta(days=30),
    "1 year": timedelta(days=365),
    "all": None,
}
"""By their names; None is everything."""

EARLIEST: Final = timedelta(days=20 * 365)

_GRAINS: tuple[tuple[timedelta, Grain], ...] = (
    (timedelta(days=1), "ten minutes"),
    (timedelta(days=30), "hour"),
)


def begin(span: str, now: datetime) -> datetime:
    """When a span that ends now began."""
    return now - (SPANS[span] or EARLIEST)


def grain(span: str) -> Grain:
    """How finely a span is read, so that a chart has some hundred points."""
    length = SPANS[span] or EARLIEST
    return next((each for longest, each in _GRAINS if length <= longest), "day")


def in_words(length: timedelta) -> str:
    """A length of time in its largest unit: `3 days`, `5 hours`, `1 minute`."""
    seconds = max(0, int(length.total_seconds()))
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size:
            count = seconds // size
            return f"{count:,} {unit}{'' if count == 1 else 's'}"
    return "less than a minute"
