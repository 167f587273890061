"""The sessions from which numbers are known, by the instants at which they were published."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import cast

import numpy as np
import polars as pl

from stages.bars import calendars
from stages.common.errors import DataError, few


def dated(
    dates: pl.Series,
    published: pl.Series,
    calendar: str,
    as_of: date,
    extra: Sequence[date] = (),
) -> pl.Series:
    """Give the date from which each number of a series is known.

    With a publication it is the first session that closes then or later. Without one it is the
    date in the file, which may be a holiday.

    Args:
        dates: of the numbers; null where only the publication is known.
        published: in UTC; null where only the date is known.
        calendar: see `calendars.sessions`.
        as_of: the newest session of interest; what is known later is dated after it.
        extra: see `calendars.sessions`.

    Raises:
        DataError: two numbers are known from the same date on.
    """
    dates = _known(dates, published, calendar, as_of, extra)
    first = calendars.begin(calendar) or date.min
    twice = dates.is_duplicated() & dates.is_between(first, as_of)
    if twice.any():
        day = dates.filter(twice)[0]
        times = published.filter(dates == day).drop_nulls().sort()
        when = few(f"{time:%Y-%m-%d %H:%M} UTC" for time in times)
        raise DataError(
            f"{(dates == day).sum()} values are known from {day} on"
            f"{f' (published {when})' if when else ''}; keep one of them"
        )
    return dates


def _known(
    dates: pl.Series, published: pl.Series, calendar: str, as_of: date, extra: Sequence[date]
) -> pl.Series:
    if not published.count():
        return dates
    local = published.dt.convert_time_zone(calendars.zone(calendar)).dt.date()
    first = max(cast("date", local.min()), calendars.begin(calendar) or date.min)
    sessions = calendars.sessions(calendar, min(first, as_of), as_of, extra)
    later = (as_of + timedelta(days=1) - date(1970, 1, 1)).days
    days = np.append(sessions.days, later).astype(np.int32)
    stamps = published.drop_nulls().to_physical().to_numpy()
    known = pl.Series(days[np.searchsorted(sessions.closes, stamps)]).cast(pl.Date)
    # Before the first session that the calendar knows, the day of the exchange counts.
    known = known.zip_with(local.drop_nulls() >= first, local.drop_nulls())
    return dates.scatter(published.is_not_null().arg_true(), known)
