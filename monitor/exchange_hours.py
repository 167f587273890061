"""When the exchange of `data.calendar` closes."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from monitor.settings import MonitorError

SPAN = timedelta(days=31)
"""No exchange of today has been shut for longer, so a span of this length holds a session."""


def newest_closed(calendar: str, now: datetime, delay: timedelta = timedelta()) -> date:
    """The newest session that closed `delay` ago or longer.

    Args:
        calendar: a name of exchange_calendars.
        now: a moment in UTC.
        delay: how long ago.

    Raises:
        MonitorError: exchange_calendars does not know the calendar, or not for this time.
    """
    closed = [day for day, close in _closes(calendar, now) if close + delay <= now]
    return closed[-1]


def next_close(calendar: str, now: datetime, delay: timedelta = timedelta()) -> datetime:
    """The next moment that is `delay` after the close of a session.

    Raises:
        MonitorError: see `newest_closed`.
    """
    moments = [close + delay for _, close in _closes(calendar, now) if close + delay > now]
    if not moments:
        raise MonitorError(
            f"data.calendar: exchange_calendars knows no session of {calendar} after "
            f"{now:%Y-%m-%d}; install a newer exchange-calendars, or refresh by hand"
        )
    return moments[0]


def zone(calendar: str) -> Any:
    """The time zone of the exchange.

    Raises:
        MonitorError: exchange_calendars does not know the calendar.
    """
    return _calendar(calendar).tz


def _closes(name: str, now: datetime) -> list[tuple[date, datetime]]:
    """Sessions around a moment, each with its close in UTC."""
    calendar = _calendar(name)
    first, last = (now - SPAN).date(), (now + SPAN).date()
    begin, end = calendar.bound_min(), calendar.bound_max()
    first = max(first, begin.date()) if begin is not None else first
    last = min(last, end.date()) if end is not None else last
    if first >= last:
        raise MonitorError(
            f"data.calendar: exchange_calendars does not know the sessions of {name} around "
            f"{now:%Y-%m-%d}; install a newer exchange-calendars, or name another calendar"
        )
    closes = _calendar(name, first, last).schedule["close"]
    return [(day.date(), close.to_pydatetime().astimezone(UTC)) for day, close in closes.items()]


def _calendar(name: str, first: date = date(2024, 1, 1), last: date = date(2024, 2, 1)) -> Any:
    # Its import takes half a second, and only these functions need it.
    import exchange_calendars
    from exchange_calendars.errors import InvalidCalendarName

    try:
        return exchange_calendars.get_calendar(name, start=str(first), end=str(last))
    except InvalidCalendarName:
        raise MonitorError(f"data.calendar: exchange_calendars has no {name!r}") from None
