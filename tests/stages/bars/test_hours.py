"""Bars of less than an hour: their length is found, and they become hours of the session."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.bars import hours
from stages.bars.calendars import BAR
from stages.bars.cleaning import actions
from stages.bars.cleaning.clean_bars import FACTOR, Cleaned, clean_hourly
from stages.common import tables
from stages.common.errors import DataError
from tests.exchange import new_york, raw_hourly, rules

OPEN = datetime(2012, 1, 3, 14, 30, tzinfo=UTC)
MINUTE = 60_000_000


def every(minutes: float, count: int, first: datetime = OPEN) -> list[datetime]:
    return [first + timedelta(minutes=minutes) * number for number in range(count)]


def stamps(times: Sequence[datetime]) -> pl.Series:
    return pl.Series(times, dtype=tables.UTC)


def cleaned(bars: pl.DataFrame) -> Cleaned:
    return clean_hourly(
        bars, tables.empty(actions.ACTION), tables.empty(FACTOR), new_york(), rules()
    )


@pytest.mark.parametrize("minutes", [0.5, 1, 5, 10, 15, 30, 60])
def test_the_length_of_bars_is_the_usual_step(minutes: float) -> None:
    days = [OPEN, OPEN + timedelta(days=1)]
    times = [time for first in days for time in every(minutes, 6, first)]
    gap = OPEN + timedelta(hours=6)
    assert hours.check(stamps([*times, gap])) == minutes * MINUTE


def test_hours_of_which_most_are_missing_are_hours() -> None:
    times = [OPEN + timedelta(hours=hour, days=day) for day in range(3) for hour in (0, 2, 4)]
    assert hours.check(stamps([*times, OPEN + timedelta(hours=1)])) == BAR


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (every(120, 4), "has bars of 2 hours"),
        (every(240, 3), "has bars of 4 hours"),
        (every(7, 9), "has bars of 7 minutes"),
        (every(24 * 60, 9), "these are daily bars"),
    ],
)
def test_a_length_that_makes_no_hours_is_refused(times: list[datetime], message: str) -> None:
    with pytest.raises(DataError, match=message):
        hours.check(stamps(times))


def test_minutes_become_hours_from_the_open_on() -> None:
    times = every(5, 14)
    prices = [30.0 + number for number in range(14)]
    bars = raw_hourly(
        "A",
        list(zip(times, prices, strict=True)),
        open=[price - 0.5 for price in prices],
        high=[price + 1 for price in prices],
        low=[price - 1 for price in prices],
        volume=[100.0] * 14,
    )
    whole = cleaned(bars).bars.select("timestamp", "date", *tables.PRICES, "volume").rows()
    day = date(2012, 1, 3)
    assert whole == [
        (OPEN, day, 29.5, 42.0, 29.0, 41.0, 1200.0),
        (OPEN + timedelta(hours=1), day, 41.5, 44.0, 41.0, 43.0, 200.0),
    ]


def test_bars_before_the_session_are_rejected_and_counted() -> None:
    before = [OPEN - timedelta(minutes=55), OPEN - timedelta(minutes=5)]
    given_bars = raw_hourly("A", [(time, 30.0) for time in (*before, *every(5, 3))])
    done = cleaned(given_bars)
    assert done.rejected.select("timestamp", "reason").rows() == [
        (time, "outside_session") for time in before
    ]
    assert done.counts.select("read", "kept").rows() == [(5, 1)]
    assert done.bars["volume"].to_list() == [3000.0]


def test_a_bar_that_the_open_falls_into_is_of_the_first_hour() -> None:
    done = cleaned(
        raw_hourly("A", [(time, 30.0) for time in every(15, 4, OPEN - timedelta(minutes=10))])
    )
    assert done.bars["timestamp"].to_list() == [OPEN]


def test_hours_beside_minutes_stay_as_they_are() -> None:
    whole = raw_hourly("A", [(time, 30.0) for time in every(60, 7)])
    short = raw_hourly("B", [(time, 30.0) for time in every(1, 70)])
    both = cleaned(pl.concat([whole, short])).bars
    assert both.filter(pl.col("symbol") == "A").equals(cleaned(whole).bars)
    assert both.filter(pl.col("symbol") == "B").height == 2


@given(
    st.sampled_from([1, 5, 10, 15, 30]),
    st.lists(st.floats(20, 40), min_size=13, max_size=78),
)
def test_hours_hold_what_their_minutes_held(minutes: int, closes: list[float]) -> None:
    times = [time for time in every(minutes, len(closes)) if time < OPEN + timedelta(hours=6.5)]
    whole = cleaned(raw_hourly("A", list(zip(times, closes, strict=False)))).bars
    for row in whole.iter_rows(named=True):
        end = row["timestamp"] + timedelta(hours=1)
        of_hour = [
            close
            for time, close in zip(times, closes, strict=False)
            if row["timestamp"] <= time < end
        ]
        assert (row["open"], row["close"]) == (of_hour[0], of_hour[-1])
        assert (row["high"], row["low"]) == (max(of_hour), min(of_hour))
        assert row["volume"] == 1000 * len(of_hour)
    assert whole["volume"].sum() == 1000 * len(times)
