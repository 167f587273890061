"""The sessions of daily bars: from stamps that are instants, and checked against the calendar.

A bar may be stamped with an instant of its session, such as 18:30 UTC for midnight in Mumbai. Its
date is the one on the clocks of the exchange, not the one that is written.
"""

from collections.abc import Sequence
from datetime import date

import numpy as np
import polars as pl

from stages.bars import calendars
from stages.bars.calendars import Days, Instants, Sessions
from stages.common.errors import DataError, few

_MINUTE = 60_000_000

_MOST = 0.9
"""Share of stamps that must stand at a close, or at an open. At half-days some exporters write the
usual close."""

_ODD = 0.1
"""From this share of days without a session on, dates may be a day early or late."""


def dated(
    written: pl.Series, instants: pl.Series, calendar: str, extra: Sequence[date] = ()
) -> pl.Series:
    """Give the session of each stamp: its day on the clocks of the exchange.

    Stamps at midnight, or at the open or the close of a session, have one meaning. Others are
    dated only where the calendar confirms it: their days have a session, and the days before and
    after them have one less often.

    Args:
        written: what the stamps say, without a zone.
        instants: the same as instants in UTC; null where the stamp names no zone, which is then
            on the clocks of the exchange.
        calendar: see `calendars.sessions`.
        extra: the same.

    Raises:
        DataError: the stamps are instants of another zone.
    """
    zone = calendars.zone(calendar)
    unzoned = written.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    stamps = instants.zip_with(instants.is_not_null(), unzoned.dt.convert_time_zone("UTC"))
    local = stamps.dt.convert_time_zone(zone).dt.replace_time_zone(None)
    days = local.dt.date()
    problem = DataError(_other_zone(written, instants, local, f"{calendar} ({zone})"))
    if local.has_nulls():
        raise problem
    if (local.dt.truncate("1d") == local).all():
        return days
    sessions = calendars.around(calendar, days, extra)
    numbers = stamps.to_physical().to_numpy()
    opens, closes = (_nearest(numbers, ends) for ends in (sessions.opens, sessions.closes))
    marks = [mark for mark in (opens, closes) if np.mean(mark >= 0) >= _MOST]
    if marks:
        # Where one session ends as the next begins, a stamp may belong to either.
        if not np.array_equal(marks[0], marks[-1]):
            raise problem
        day = np.where(marks[0] >= 0, sessions.days[marks[0]], days.to_physical().to_numpy())
        return pl.Series(written.name, day, dtype=pl.Int32).cast(pl.Date)
    unique = days.unique()
    if len(_closed(unique, sessions)) >= min(
        len(_closed(unique.dt.offset_by(by), sessions)) for by in ("1d", "-1d")
    ):
        raise problem
    return days


def check(days: pl.Series, calendar: str, extra: Sequence[date] = ()) -> None:
    """Refuse dates that are a day early or late.

    Args:
        days: of a symbol's daily bars.
        calendar: see `calendars.sessions`.
        extra: the same.

    Raises:
        DataError: many have no session, and the days after them, or before them, have one.
    """
    unique = days.unique().sort()
    # Most files need no calendar of their whole span, which takes a second to make.
    odd = ~unique.dt.weekday().is_in(list(calendars.weekdays(calendar)))
    if not odd.any() or odd.mean() < _ODD:  # type: ignore[operator]  # of booleans
        return
    sessions = calendars.around(calendar, unique, extra)
    closed = _closed(unique, sessions)
    if len(closed) < _ODD * len(unique):
        return
    for by, beside, shift in (("1d", "after", "early"), ("-1d", "before", "late")):
        if len(_closed(unique.dt.offset_by(by), sessions)) <= len(closed) // 4:
            named = few((f"'{day}'" for day in closed), 20)
            raise DataError(
                f"{len(closed):,} of {len(unique):,} dates have no session at {calendar} "
                f"({named}), but the days {beside} them have one: the dates are a day {shift}, as "
                "instants are that were cut to dates in another zone; export the dates of the "
                "exchange, set data.calendar to the exchange of these bars, or if it was open add "
                "these days to data.extra_sessions"
            )


def _nearest(stamps: Instants, ends: Instants) -> Days:
    """The number of the session that opens (or closes) within a minute of each stamp, or -1."""
    after = np.clip(np.searchsorted(ends, stamps), 1, ends.size - 1)
    nearest = np.where(stamps - ends[after - 1] < ends[after] - stamps, after - 1, after)
    return np.where(np.abs(stamps - ends[nearest]) <= _MINUTE, nearest, -1).astype(np.int32)


def _closed(days: pl.Series, sessions: Sessions) -> pl.Series:
    """The days within the calendar's span that have no session."""
    numbers = days.to_physical().to_numpy()
    within = (numbers >= sessions.days[0]) & (numbers <= sessions.days[-1])
    return days.filter(pl.Series(within & (sessions.position(numbers) < 0)))


def _other_zone(written: pl.Series, instants: pl.Series, local: pl.Series, exchange: str) -> str:
    odd = (local.is_null() | (local.dt.truncate("1d") != local)).arg_true()
    at = int(odd[0]) if len(odd) else 0
    if instants[at] is None:
        stamp, remedy = f"{written[at]:%Y-%m-%d %H:%M}", "set timezone of the source to theirs"
    else:
        stamp, remedy = f"{instants[at]:%Y-%m-%d %H:%M} UTC", "export the dates of the sessions"
    local_time = "never shown" if local[at] is None else f"{local[at]:%A %Y-%m-%d %H:%M}"
    return (
        f"daily bars are stamped with instants of another zone: {stamp} is {local_time} on the "
        f"clocks of {exchange}, which is not midnight, the open or the close of one session; "
        f"{remedy}, or set data.calendar to the exchange of these bars"
    )
