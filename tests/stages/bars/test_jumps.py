"""Jumps that no market made, in real bars with a wrong unit, and none in the bars as they are."""

import importlib.util
from collections.abc import Sequence
from datetime import date
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.bars.cleaning import jumps
from stages.common.tables import PRICES
from tests.exchange import days, hours, raw, raw_hourly
from tests.panels import examples

GAP = 0.18


@cache
def real() -> pl.DataFrame:
    """The bars of AAPL, FB, GOOG, IBM and MSFT as their source has them."""
    spec = importlib.util.find_spec("bokeh_sampledata")
    assert spec is not None
    assert spec.origin is not None
    bars = pl.read_csv(Path(spec.origin).parent / "_data" / "stocks.csv.gz").rename(
        lambda name: {"Ticker": "symbol", "Adj Close": "adj_close"}.get(name, name.lower())
    )
    return bars.with_columns(pl.col("date").str.to_date(), pl.col("volume").cast(pl.Float64)).sort(
        "symbol", "date"
    )


def of(symbol: str, rows: int = 260) -> pl.DataFrame:
    return real().filter(pl.col("symbol") == symbol).tail(rows)


def scaled(
    bars: pl.DataFrame, rows: slice, factor: float, columns: Sequence[str] = (*PRICES, "adj_close")
) -> pl.DataFrame:
    """These rows in another unit."""
    number = np.arange(bars.height)
    inside = pl.Series(np.isin(number, number[rows]))
    return bars.with_columns(
        pl.when(inside).then(pl.col(name) * factor).otherwise(name).alias(name) for name in columns
    )


def jumps_of(bars: pl.DataFrame, *, vouched: bool = True) -> pl.DataFrame:
    """The jumps of bars that `adj_close` vouches for in every row, or in none."""
    first = jumps.changes(bars["symbol"])
    factor = (bars["adj_close"] / bars["close"]).to_numpy()
    step = np.where(first, 1.0, factor / np.roll(factor, 1)) if vouched else np.ones(bars.height)
    return jumps.find(bars, step, np.full(bars.height, vouched) & ~first, GAP)


def doubts(bars: pl.DataFrame, *, vouched: bool = True) -> list[tuple[int, str]]:
    jumped = jumps_of(bars, vouched=vouched).drop_nulls("doubt")
    return [(row, doubt) for row, doubt in jumped.select("row", "doubt").iter_rows()]


def test_real_bars_have_no_doubtful_jump() -> None:
    jumped = jumps_of(real())
    assert jumped["doubt"].null_count() == jumped.height
    assert jumped.select("symbol", "date").rows() == [
        ("AAPL", date(2000, 6, 21)),
        ("AAPL", date(2000, 9, 29)),
        ("AAPL", date(2005, 2, 28)),
        ("FB", date(2012, 10, 24)),
        ("GOOG", date(2008, 4, 18)),
        ("MSFT", date(2003, 2, 18)),
    ]


@pytest.mark.parametrize("factor", [100, 1 / 100, 10, 1 / 10, 1000, 1 / 1000, 83.2, 1 / 151.3])
@pytest.mark.parametrize(
    ("rows", "turns"),
    [
        (slice(100, 101), [100, 101]),
        (slice(100, 140), [100, 140]),
        (slice(100, None), [100]),
        (slice(0, 3), [3]),
        (slice(259, None), [259]),
    ],
)
def test_another_unit_for_a_day_for_a_block_and_for_good(
    rows: slice, turns: list[int], factor: float
) -> None:
    assert doubts(scaled(of("IBM"), rows, factor)) == [(row, "unit") for row in turns]


@pytest.mark.parametrize("factor", [1.27, 1 / 1.27, 1.35, 4.1, 1 / 7.8])
@pytest.mark.parametrize("symbol", ["IBM", "MSFT", "AAPL"])
def test_a_rate_of_exchange(symbol: str, factor: float) -> None:
    for rows in (slice(100, 101), slice(100, 110)):
        there, back = doubts(scaled(of(symbol), rows, factor))
        assert there == (100, "quiet")
        # The market's own moves of the two nights may hide that one takes the other back.
        assert back in [(rows.stop, "returned"), (rows.stop, "quiet")]
    # Its volume and its range are as on any other day.
    assert doubts(scaled(of(symbol), slice(100, None), factor)) == [(100, "quiet")]


def test_the_day_from_which_the_unit_was_another_is_named() -> None:
    bars = scaled(of("IBM"), slice(100, 105), 1.27)
    back = jumps_of(bars).filter(pl.col("doubt") == "returned")
    assert back.select("date", "since").row(0) == (bars["date"][105], bars["date"][100])


def test_without_adj_close_a_jump_that_is_taken_back_is_doubted_and_others_are_jumps() -> None:
    bars = scaled(of("IBM"), slice(100, 101), 1 / 100)
    jumped = jumps_of(bars, vouched=False)
    assert jumped.select("row", "doubt").rows() == [(100, None), (101, "returned")]


def test_adj_close_alone_in_another_unit() -> None:
    bars = scaled(of("IBM"), slice(100, None), 1 / 100, ["adj_close"])
    assert doubts(bars) == [(100, "unit")]


def test_the_close_alone_in_another_unit_within_its_bar() -> None:
    # As exporters write it that open each bar at the close before.
    bars = scaled(of("IBM"), slice(101, None), 1 / 100)
    bars = scaled(bars, slice(100, 101), 1 / 100, ["low", "close", "adj_close"])
    assert doubts(bars) == [(100, "unit")]


def test_a_split_that_adj_close_has_a_day_late() -> None:
    bars = scaled(of("IBM"), slice(100, None), 1 / 2)
    late = bars.with_columns(adj_close=of("IBM")["adj_close"])
    assert doubts(late) == []
    late = scaled(late, slice(100, 101), 1 / 2, ["adj_close"])
    assert [row for row, _ in doubts(late)] == [100, 101]


@pytest.mark.parametrize(
    ("ratio", "doubted"),
    [
        *((2, 0), (10, 0), (1.5, 0), (1 / 30, 0), (1.31, 0), (0.8, 0), (37.6, 0)),
        # Dividends of 30 % and 47 % of the price: no split is near.
        *((1.43, 0), (1.9, 0)),
        *((83.2, 1), (2.25, 1), (0.7, 1)),
    ],
)
def test_the_factor_of_adj_close_must_be_a_split_or_a_dividend(ratio: float, doubted: int) -> None:
    prices = scaled(of("IBM"), slice(100, None), 1 / ratio, PRICES)
    assert doubts(prices) == [(100, "factor")] * doubted


def test_a_crash_with_news_and_a_wild_series_are_moves_of_the_market() -> None:
    rng = np.random.default_rng(1)
    close = 20 * np.exp(np.cumsum(rng.normal(0, 0.08, 240)))
    wild = raw("^VIX", close.tolist(), adj_close=close.tolist(), volume=[0.0] * 240)
    assert jumps_of(wild).height > 5
    assert doubts(wild) == []
    crash = scaled(of("IBM"), slice(100, None), 0.4)
    day = pl.int_range(pl.len()) == 100
    loud = crash.with_columns(
        volume=pl.when(day).then(pl.col("volume") * 10).otherwise("volume"),
        high=pl.when(day).then(pl.col("high") * 1.06).otherwise("high"),
    )
    assert doubts(crash) == [(100, "quiet")]
    assert doubts(loud) == []


def test_an_hour_in_another_unit() -> None:
    times = [*hours(days()[0], 4), *hours(days()[1], 4)]
    closes = [500.0, 500.0, 5.0, 5.0, 500.0, 500.0, 500.0, 500.0]
    bars = raw_hourly("ACME", list(zip(times, closes, strict=True)), adj_close=closes)
    assert doubts(bars.with_columns(date=pl.col("timestamp").dt.date())) == [
        (2, "unit"),
        (4, "unit"),
    ]


@examples(60)
@given(
    st.sampled_from(["AAPL", "GOOG", "IBM", "MSFT"]),
    st.integers(40, 200),
    st.integers(1, 60),
    st.sampled_from([1.25, 1.35, 7.1, 10, 83.2, 100, 151.3, 1000]),
    st.booleans(),
)
def test_no_block_in_another_unit_gets_through(
    symbol: str, start: int, length: int, factor: float, smaller: bool
) -> None:
    bars = scaled(of(symbol), slice(start, start + length), 1 / factor if smaller else factor)
    rows = [row for row, _ in doubts(bars)]
    assert set(rows) & {start, start + length}
    assert not set(rows) - {start, start + length}


@examples(30)
@given(st.integers(0, 259), st.sampled_from([1 / 100, 1.27]))
def test_what_is_told_of_a_day_needs_no_later_day(end: int, factor: float) -> None:
    bars = scaled(of("MSFT"), slice(100, 104), factor)
    known = bars.head(end + 1)
    expected = jumps_of(bars).filter(pl.col("row") <= end)
    assert jumps_of(known).equals(expected, null_equal=True)


def test_no_bars_at_all() -> None:
    assert jumps_of(of("IBM").clear()).is_empty()
