"""Sessions of exchanges: which days, which hours, which are to come."""

import logging
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from stages.bars.calendars import Days, Instants, Sessions, coming_sessions, sessions
from stages.common.errors import DataError, ParamsError
from tests.messages import facts

EPOCH = date(1970, 1, 1)


def numbers(*days: date) -> Days:
    return np.array([(day - EPOCH).days for day in days], dtype=np.int32)


def instants(*times: datetime) -> Instants:
    return np.array([int(time.timestamp()) * 1_000_000 for time in times], dtype=np.int64)


def dates(span: Sessions) -> list[date]:
    return pl.Series(span.days).cast(pl.Date).to_list()


def day_of(span: Sessions, *times: datetime) -> list[date | None]:
    return [dates(span)[at] if at >= 0 else None for at in span.holding(instants(*times))]


def test_a_week_of_new_york() -> None:
    span = sessions("XNYS", date(2012, 11, 19), date(2012, 11, 26))
    week = [day for day in dates(span) if day >= date(2012, 11, 19)]
    assert week == [date(2012, 11, day) for day in (19, 20, 21, 23, 26)]
    assert span.zone == "America/New_York"
    # The Friday after Thanksgiving ends at 13:00.
    friday = dates(span).index(date(2012, 11, 23))
    opened, closed = (int(span.opens[friday]), int(span.closes[friday]))
    assert datetime.fromtimestamp(opened / 1e6, UTC) == datetime(2012, 11, 23, 14, 30, tzinfo=UTC)
    assert datetime.fromtimestamp(closed / 1e6, UTC) == datetime(2012, 11, 23, 18, 0, tzinfo=UTC)


def test_position_is_minus_one_where_there_is_no_session() -> None:
    span = sessions("XNYS", date(2012, 11, 19), date(2012, 11, 26))
    first, last = dates(span)[0], dates(span)[-1]
    place = span.position(
        numbers(first, date(2012, 11, 22), last, last + timedelta(1), first - timedelta(1))
    )
    assert place.tolist() == [0, -1, len(dates(span)) - 1, -1, -1]
    far = span.position(numbers(date(1900, 1, 1), date(2999, 1, 1)))
    assert far.tolist() == [-1, -1]


def test_the_order_of_sessions_is_that_of_days() -> None:
    span = sessions("XBOM", date(2015, 1, 1), date(2021, 4, 30), [date(2016, 10, 30)])
    assert (np.diff(span.days) > 0).all()
    assert (span.opens < span.closes).all()
    assert (span.opens[1:] >= span.closes[:-1]).all()
    assert span.position(span.days).tolist() == list(range(span.days.size))


def test_an_hour_belongs_to_the_session_in_which_it_opens_or_which_opens_in_it() -> None:
    span = sessions("XNYS", date(2012, 1, 3), date(2012, 1, 6))
    day = date(2012, 1, 4)

    def at(hour: int, minute: int) -> datetime:
        return datetime(2012, 1, 4, hour, minute, tzinfo=UTC)

    # 14:30 to 21:00 in UTC
    assert day_of(span, at(13, 30), at(13, 31), at(14, 0), at(14, 30)) == [None, day, day, day]
    assert day_of(span, at(20, 30), at(20, 59), at(21, 0)) == [day, day, None]
    assert day_of(span, datetime(1999, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)) == [
        None,
        None,
    ]


def test_a_market_that_never_sleeps_on_weekdays() -> None:
    span = sessions("24/5", date(2017, 1, 1), date(2017, 1, 10))
    friday, sunday, monday = (datetime(2017, 1, day, tzinfo=UTC) for day in (6, 8, 9))
    assert day_of(
        span,
        friday + timedelta(hours=23),
        friday + timedelta(hours=24),
        sunday + timedelta(hours=23),
        sunday + timedelta(hours=23, minutes=30),
        monday,
        monday + timedelta(hours=24),
    ) == [friday.date(), None, None, monday.date(), monday.date(), date(2017, 1, 10)]


def test_extra_sessions_have_the_usual_hours() -> None:
    diwali = date(2016, 10, 30)
    span = sessions("XBOM", date(2016, 10, 1), date(2016, 11, 30), [diwali, date(2016, 10, 28)])
    assert dates(span).count(date(2016, 10, 28)) == 1
    at = dates(span).index(diwali)
    for times, hour, minute in ((span.opens, 3, 45), (span.closes, 10, 0)):
        time = datetime.fromtimestamp(int(times[at]) / 1e6, UTC)
        assert time == datetime(2016, 10, 30, hour, minute, tzinfo=UTC)
    without = sessions("XBOM", date(2016, 10, 1), date(2016, 11, 30))
    assert set(dates(span)) - set(dates(without)) == {diwali}


def test_extra_sessions_outside_the_span_are_left_out() -> None:
    extra = [date(1990, 1, 6), date(2030, 1, 5)]
    span = sessions("XBOM", date(2016, 10, 1), date(2016, 11, 30), extra)
    assert not set(extra) & set(dates(span))


def test_an_unknown_calendar() -> None:
    with pytest.raises(ParamsError) as caught:
        sessions("NSE", date(2012, 1, 1), date(2012, 12, 31))
    assert facts(str(caught.value)) == facts(
        "data.calendar: exchange_calendars has no 'NSE'; XNYS is New York, XBOM Mumbai (NSE and "
        "BSE), 24/5 currencies"
    )


def test_a_calendar_that_begins_too_late() -> None:
    with pytest.raises(DataError) as caught:
        sessions("XBOM", date(1996, 1, 1), date(2012, 12, 31))
    assert facts(str(caught.value)) == facts(
        "data.calendar: exchange_calendars knows the sessions of XBOM only from 1997-01-01, but "
        "bars begin on 1996-01-01; set data.start to 1997-01-01, or name another calendar"
    )


def test_a_calendar_that_ends_too_early() -> None:
    with pytest.raises(DataError) as caught:
        sessions("XHKG", date(2012, 1, 1), date(2050, 12, 31))
    assert facts(str(caught.value)) == facts(
        "data.calendar: exchange_calendars knows the sessions of XHKG only up to 2049-12-31, but "
        "they are needed up to 2050-12-31; move data.as_of back, install a newer "
        "exchange-calendars, or name another calendar"
    )


@pytest.mark.parametrize("count", [0, 1, 63, 800])
def test_coming_sessions_follow_the_day(count: int) -> None:
    after = date(2012, 12, 31)
    coming = coming_sessions("XNYS", after, count)
    span = sessions("XNYS", after, date(2017, 12, 31))
    assert coming == [day for day in dates(span) if day > after][:count]
    assert len(coming) == count


def test_coming_sessions_hold_the_extra_ones() -> None:
    coming = coming_sessions("XBOM", date(2016, 10, 27), 3, [date(2016, 10, 30)])
    assert coming == [date(2016, 10, 28), date(2016, 10, 30), date(2016, 11, 1)]


def test_coming_sessions_of_a_round_the_clock_market() -> None:
    assert coming_sessions("24/5", date(2017, 12, 29), 2) == [date(2018, 1, 1), date(2018, 1, 2)]


def test_coming_sessions_are_led_by_those_since_a_day() -> None:
    after, since = date(2012, 12, 31), date(2012, 12, 20)
    known = sessions("XNYS", since, date(2013, 12, 31))
    last = coming_sessions("XNYS", after, 5)
    expected = [day for day in dates(known) if day <= last[-1]]
    assert coming_sessions("XNYS", after, 5, since=since) == expected
    assert expected[0] == since


def test_coming_sessions_do_not_reach_before_a_calendar_begins() -> None:
    with pytest.raises(DataError) as raised:
        coming_sessions("XBOM", date(2012, 12, 31), 5, since=date(1990, 1, 1))
    assert {"XBOM", "1997-01-01", "1990-01-01"} <= facts(str(raised.value))


@pytest.mark.parametrize(("after", "known"), [(date(2049, 12, 28), 3), (date(2049, 12, 31), 0)])
def test_where_a_calendar_ends_fewer_sessions_come(
    after: date, known: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "stages"):
        coming = coming_sessions("XHKG", after, 63)
    assert len(coming) == known
    assert caplog.messages == [
        "data.calendar: exchange_calendars knows the sessions of XHKG only up to 2049-12-31: "
        f"{known} of the 63 after {after} can be named; install a newer exchange-calendars"
    ]
