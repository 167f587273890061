"""When an exchange is open: its sessions, and those that are still to come.

Every calendar is built for an explicit span, since the default span of exchange_calendars moves
with today's date.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import polars as pl

from stages.common.errors import DataError, ParamsError
from stages.common.running import log, without

Days = npt.NDArray[np.int32]
"""Days since 1970-01-01, as polars stores a date."""

Instants = npt.NDArray[np.int64]
"""Microseconds since 1970-01-01 00:00 UTC, as polars stores a timestamp."""

BAR = 3_600_000_000
"""Length of an hourly bar in microseconds."""

_EPOCH = date(1970, 1, 1)

_CLOSURE = timedelta(days=31)
"""No exchange of today has been shut for longer, so a span of this length holds a session."""

_MONTH = (date(2024, 1, 1), date(2024, 2, 1))
"""A span that every calendar holds, for what does not depend on the span."""


@dataclass(frozen=True, eq=False)
class Sessions:
    """The sessions of an exchange in a span, in order.

    Attributes:
        calendar: the name of the calendar.
        zone: the time zone of the exchange.
        days: the date of each session.
        opens: when it opens.
        closes: when it closes, always after it opens; breaks within a session are ignored.
    """

    calendar: str
    zone: str
    days: Days
    opens: Instants
    closes: Instants

    def position(self, days: Days) -> Days:
        """Number each day's session, from 0 at the first of the span; -1 without one."""
        span = int(self.days[-1] - self.days[0]) + 1
        table = np.full(span + 1, -1, dtype=np.int32)
        table[self.days - self.days[0]] = np.arange(self.days.size, dtype=np.int32)
        # The last entry answers for every day outside the span.
        place = np.clip(days - self.days[0], -1, span)
        return table[np.where(place == -1, span, place)]

    def holding(self, opened: Instants, length: Instants | int = BAR) -> Days:
        """Number the session that a bar belongs to, by the bar's opening time.

        A bar belongs to the session in which it opens, or to the one that opens while it
        lasts: bars on the full hour hold the first trades of a session that opens at half
        past. -1 where the exchange is closed for the whole bar.

        Args:
            opened: when each bar opens.
            length: how long it lasts, in microseconds.
        """
        last = self.days.size - 1
        before = np.searchsorted(self.opens, opened, side="right") - 1
        within = (before >= 0) & (opened < self.closes[np.maximum(before, 0)])
        after = np.minimum(before + 1, last)
        reaches = (self.opens[after] > opened) & (self.opens[after] < opened + length)
        return np.where(within, before, np.where(reaches, after, -1)).astype(np.int32)


def sessions(name: str, first: date, last: date, extra: Sequence[date] = ()) -> Sessions:
    """The sessions of an exchange from `first` to `last`, both included.

    Args:
        name: a calendar of exchange_calendars (XNYS, XBOM, 24/5, ...).
        first: no session before this day is needed.
        last: no session after it.
        extra: days on which the exchange was open though the calendar says otherwise; they have
            its usual hours.

    Raises:
        ParamsError: exchange_calendars does not know the calendar.
        DataError: the calendar does not reach from `first` to `last`.
    """
    start = min(first, last - _CLOSURE)
    if start < first and (begin := _bounds(name)[0]) is not None:
        start = min(first, max(start, begin))
    calendar = _calendar(name, start, last)
    schedule = calendar.schedule
    days = (schedule.index - np.datetime64(_EPOCH)).days.to_numpy().astype(np.int32)
    opens, closes = (_instants(schedule[column]) for column in ("open", "close"))
    added = sorted(
        day for day in set(extra) if first <= day <= last and not np.isin((day - _EPOCH).days, days)
    )
    if added:
        hours = [_usual_hours(calendar, day) for day in added]
        days = np.append(days, [(day - _EPOCH).days for day in added]).astype(np.int32)
        opens = np.append(opens, [hour[0] for hour in hours])
        closes = np.append(closes, [hour[1] for hour in hours])
        order = np.argsort(days, kind="stable")
        days, opens, closes = days[order], opens[order], closes[order]
    return Sessions(name, str(calendar.tz), days, opens, closes)


def zone(name: str) -> str:
    """The time zone of an exchange.

    Raises:
        ParamsError: exchange_calendars does not know the calendar.
    """
    return _month(name).zone


def weekdays(name: str) -> frozenset[int]:
    """The days of the week on which an exchange is usually open; Monday is 1.

    Raises:
        ParamsError: exchange_calendars does not know the calendar.
    """
    return frozenset(pl.Series(_month(name).days).cast(pl.Date).dt.weekday().to_list())


def begin(name: str) -> date | None:
    """The first day from which the sessions of an exchange are known; None if always.

    Raises:
        ParamsError: exchange_calendars does not know the calendar.
    """
    return _bounds(name)[0]


def around(name: str, days: pl.Series, extra: Sequence[date] = ()) -> Sessions:
    """The sessions of an exchange on these days and on those beside them, as far as it is known.

    Raises:
        ParamsError: exchange_calendars does not know the calendar.
    """
    begin, end = _bounds(name)
    beside = timedelta(days=2)
    first = cast("date", days.min()) - beside
    last = cast("date", days.max()) + beside
    if begin is not None:
        first, last = max(first, begin), max(last, begin + _CLOSURE)
    if end is not None:
        first, last = min(first, end - _CLOSURE), min(last, end)
    return sessions(name, first, last, extra)


@cache
def _month(name: str) -> Sessions:
    # Zone and weekdays are those of every span; a month is quick to build.
    return sessions(name, *_MONTH)


def coming_sessions(
    name: str, after: date, count: int, extra: Sequence[date] = (), *, since: date | None = None
) -> list[date]:
    """The next `count` sessions after a day, led by those from `since` to that day.

    Some calendars are known for a few years only. Where one ends too early there are fewer, and
    a line in the log says so.

    Raises:
        ParamsError: exchange_calendars does not know the calendar.
        DataError: the calendar does not reach back to `since`.
    """
    first = after + timedelta(days=1) if since is None else since
    end: date | None = None
    # Two days a session nearly always suffice, so that one calendar is built.
    span = timedelta(days=count) + _CLOSURE / 2
    while True:
        span *= 2
        try:
            dates = _between(name, first, after + span, extra)
        except DataError:
            begin, end = _bounds(name)
            if end is None or (begin is not None and first < begin):
                raise
            dates = _between(name, first, end, extra) if end >= first else []
        ahead = sum(day > after for day in dates)
        if ahead >= count or end is not None:
            break
    if ahead < count:
        log.warning(
            "data.calendar: exchange_calendars knows the sessions of %s only up to %s: %s of the "
            "%s after %s can be named; install a newer exchange-calendars",
            *(name, end, ahead, count, after),
        )
    return dates[: len(dates) - max(ahead - count, 0)]


def _between(name: str, first: date, last: date, extra: Sequence[date]) -> list[date]:
    days = sessions(name, first, last, extra).days
    return [day for number in days if (day := _EPOCH + timedelta(days=int(number))) >= first]


@lru_cache(maxsize=4)
def _calendar(name: str, first: date, last: date) -> Any:
    with without():
        import exchange_calendars
        from exchange_calendars.errors import InvalidCalendarName

    try:
        return exchange_calendars.get_calendar(name, start=str(first), end=str(last))
    except InvalidCalendarName:
        known = "XNYS is New York, XBOM Mumbai (NSE and BSE), 24/5 currencies"
        raise ParamsError([f"data.calendar: exchange_calendars has no {name!r}; {known}"]) from None
    except ValueError:
        begin, end = _bounds(name)
        if begin is not None and first < begin:
            problem = f"only from {begin}, but bars begin on {first}; set data.start to {begin}"
        elif end is not None and last > end:
            problem = (
                f"only up to {end}, but they are needed up to {last}; move data.as_of back, "
                "install a newer exchange-calendars"
            )
        else:
            raise
        raise DataError(
            f"data.calendar: exchange_calendars knows the sessions of {name} {problem}, "
            "or name another calendar"
        ) from None


@cache
def _bounds(name: str) -> tuple[date | None, date | None]:
    # The bounds do not depend on the span.
    calendar = _calendar(name, *_MONTH)
    begin, end = calendar.bound_min(), calendar.bound_max()
    return begin and begin.date(), end and end.date()


def _instants(times: Any) -> Instants:
    instants: Instants = times.dt.tz_localize(None).to_numpy().astype("datetime64[us]").astype(int)
    return instants


def _usual_hours(calendar: Any, day: date) -> tuple[int, int]:
    def instant(times: Sequence[tuple[Any, time]], offset: int) -> int:
        # Each entry holds from its date on; the first, without one, from the beginning.
        known = [hour for since, hour in times if since is None or since.date() <= day]
        moment = datetime.combine(day + timedelta(days=offset), known[-1], calendar.tz)
        return int(moment.astimezone(UTC).timestamp()) * 1_000_000

    return (
        instant(calendar.open_times, calendar.open_offset),
        instant(calendar.close_times, calendar.close_offset),
    )
