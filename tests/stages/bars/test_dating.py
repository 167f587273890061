"""Daily bars that are stamped with instants: dated on the clocks of every exchange, or refused."""

import os
from datetime import date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import exchange_calendars
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.bars import calendars
from stages.bars.calendars import Sessions
from stages.bars.ingestion.dating import check, dated
from stages.common.errors import DataError
from tests.messages import facts
from tests.panels import examples

SPAN = (date(2024, 9, 9), date(2025, 4, 30))
"""Clocks change in it on both hemispheres."""

FEW = ["XNYS", "XBOM", "XLON", "XASX", "XSAU", "BVMF", "24/5", "CMES", "us_futures"]
"""One of each kind: half hours, both hemispheres, weeks from Sunday on, and sessions by night."""

EVERY = exchange_calendars.get_calendar_names(include_aliases=False)


@cache
def exchange(name: str) -> Sessions:
    return calendars.sessions(name, *SPAN)


def utc(values: pl.Series) -> pl.Series:
    return values.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def session_days(sessions: Sessions) -> pl.Series:
    return pl.Series(sessions.days).cast(pl.Date)


def midnights(sessions: Sessions) -> pl.Series:
    zone = ZoneInfo(sessions.zone)
    return pl.Series(
        [
            datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(ZoneInfo("UTC"))
            for day in session_days(sessions)
        ],
        dtype=pl.Datetime("us", "UTC"),
    )


def naive(instants: pl.Series) -> pl.Series:
    return instants.dt.replace_time_zone(None)


def unknown(stamps: pl.Series) -> pl.Series:
    return pl.Series([None] * len(stamps), dtype=pl.Datetime("us", "UTC"))


# A calendar takes a third of a second to build, and here are seventy.
@pytest.mark.parametrize("name", EVERY if os.environ.get("CI_FULL") == "1" else FEW)
def test_midnight_open_and_close_are_the_days_of_their_sessions(name: str) -> None:
    sessions = exchange(name)
    days = session_days(sessions).to_list()
    midnight = midnights(sessions)
    assert dated(naive(midnight), midnight, name).to_list() == days
    for ends in (sessions.opens, sessions.closes):
        stamps = utc(pl.Series(ends))
        try:
            read = dated(naive(stamps), stamps, name).to_list()
        except DataError:
            # A session that begins as the last one ends: the stamp alone cannot tell.
            assert set(sessions.opens[1:]) & set(sessions.closes)
            continue
        # The end of a whole day is the midnight of the next one, which is how a day is written.
        midnight_end = (
            ends is sessions.closes and (naive(stamps).dt.truncate("1d") == naive(stamps)).all()
        )
        assert read == days or midnight_end


@examples(25)
@given(
    st.sampled_from(FEW),
    st.integers(-11, 13),
    st.integers(0, 90),
    st.integers(6, 60),
    st.booleans(),
)
def test_the_midnights_of_another_zone_are_dated_right_or_refused(
    name: str, hours: int, first: int, count: int, written_there: bool
) -> None:
    """Six sessions hold a weekend or a holiday, where the days beside them show a shift."""
    days = session_days(exchange(name))[first : first + count]
    there = days.cast(pl.Datetime("us"))
    stamps = there.dt.offset_by(f"{-hours}h").dt.replace_time_zone("UTC")
    written = naive(stamps)
    nameless = (
        unknown(stamps)
        if written_there and not (written.dt.truncate("1d") == written).all()
        else stamps
    )
    try:
        read = dated(written, nameless, name)
        check(read, name)
    except DataError:
        return
    assert read.to_list() == days.to_list()


def test_stamps_of_another_zone_are_named() -> None:
    mumbai = utc(pl.Series([datetime(2025, 1, day, 18, 30) for day in (5, 6, 7)]))  # noqa: DTZ001
    with pytest.raises(DataError) as caught:
        dated(naive(mumbai), mumbai, "XNYS")
    assert facts(str(caught.value)) == facts(
        "daily bars are stamped with instants of another zone: 2025-01-05 18:30 UTC is Sunday "
        "2025-01-05 13:30 on the clocks of XNYS (America/New_York), which is not midnight, the "
        "open or the close of one session; export the dates of the sessions, or set data.calendar "
        "to the exchange of these bars"
    )
    with pytest.raises(DataError, match=r"2025-01-05 18:30 is Sunday .* set timezone"):
        dated(naive(mumbai), unknown(mumbai), "XBOM")


def test_dates_that_are_a_day_early_are_named() -> None:
    days = pl.Series([day - timedelta(1) for day in session_days(exchange("XBOM"))[:20]])
    with pytest.raises(DataError) as caught:
        check(days, "XBOM")
    assert {"XBOM", "data.calendar", "data.extra_sessions"} <= facts(str(caught.value))
    assert "day early" in str(caught.value)


def test_bars_of_every_day_are_left_to_clean() -> None:
    check(pl.date_range(date(2025, 1, 1), date(2025, 3, 1), eager=True), "XNYS")


def test_a_session_that_the_calendar_lacks_is_added_by_hand() -> None:
    diwali = date(2016, 10, 30)
    days = pl.Series([date(2016, 10, 28), diwali, date(2016, 11, 1)])
    check(days, "XBOM", [diwali])
