"""Which bars are let through, and the first rule that any other breaks."""

import math
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.bars.cleaning.rules import AdjClose, Judged, Rules, judge
from stages.common import tables
from stages.common.tables import Kind
from tests.exchange import days, hours, new_york, raw, raw_hourly
from tests.panels import examples

SATURDAY = date(2012, 1, 7)
HOLIDAY = date(2012, 1, 16)


def judged(bars: pl.DataFrame, kind: Kind = "daily", **options: Any) -> Judged:
    return judge(bars, Rules(kind, new_york(), **options))


def reasons(result: Judged) -> list[str]:
    return result.rejected["reason"].to_list()


def one_bar(**columns: Any) -> pl.DataFrame:
    """A good bar but for these columns."""
    plain = raw("ACME", [10.0])
    series = [pl.Series(name, [value], plain.schema[name]) for name, value in columns.items()]
    return plain.with_columns(series)


@pytest.mark.parametrize("column", [*tables.PRICES, "volume"])
@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_a_missing_value(column: str, value: float | None) -> None:
    sound = raw("ACME", [10.0], [days()[1]])
    assert reasons(judged(pl.concat([one_bar(**{column: value}), sound]))) == ["missing_value"]


@pytest.mark.parametrize("value", [None, math.nan])
@pytest.mark.parametrize("zero_volume", ["keep", "reject"])
def test_a_symbol_without_any_volume_is_kept_and_another_is_not(
    value: float | None, zero_volume: str
) -> None:
    quiet = raw("EURUSD", [1.0, 1.1], volume=[value] * 2)
    gap = raw("ACME", [10.0, 11.0], volume=[1000.0, value])
    result = judged(pl.concat([gap, quiet]), zero_volume=zero_volume)
    assert result.rejected.select("symbol", "reason").rows() == [("ACME", "missing_value")]
    assert result.accepted.select("symbol", "volume").rows() == [
        ("ACME", 1000.0),
        ("EURUSD", None),
        ("EURUSD", None),
    ]


@pytest.mark.parametrize("column", tables.PRICES)
@pytest.mark.parametrize("value", [0.0, -10.0])
def test_a_price_that_is_not_positive(column: str, value: float) -> None:
    assert reasons(judged(one_bar(**{column: value}))) == ["non_positive_price"]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"high": 9.0, "low": 11.0}, "high_below_low"),
        ({"high": 9.0}, "high_below_low"),
        ({"high": 12.0, "low": 11.0}, "outside_range"),
        ({"open": 10.1}, "outside_range"),
        ({"open": 9.9}, "outside_range"),
        ({"close": 10.01}, "outside_range"),
        ({"high": 1000.0}, "mixed_units"),
        ({"low": 0.1}, "mixed_units"),
        ({"volume": -1.0}, "negative_volume"),
        ({"volume": 0.0}, "zero_volume"),
        ({"date": SATURDAY}, "not_a_session"),
        ({"date": HOLIDAY}, "not_a_session"),
        ({"date": date(1950, 1, 3)}, "not_a_session"),
        # The first rule counts.
        ({"close": None, "volume": -1.0}, "missing_value"),
        ({"open": -1.0, "high": 9.0}, "non_positive_price"),
        ({"open": 10.1, "volume": 0.0}, "outside_range"),
        ({"volume": 0.0, "date": SATURDAY}, "zero_volume"),
    ],
)
def test_a_bar_that_breaks_a_rule(columns: dict[str, Any], reason: str) -> None:
    result = judged(one_bar(**columns))
    assert reasons(result) == [reason]
    assert result.accepted.is_empty()


def test_rejected_bars_stay_as_they_came() -> None:
    bars = one_bar(close=math.nan, volume=None, adj_close=3.0)
    rejected = judged(bars).rejected
    assert rejected.drop("reason").select(bars.columns).equals(bars, null_equal=True)


def test_prices_that_only_rounding_put_out_of_order_are_put_right() -> None:
    bars = one_bar(open=10.000001, low=10.000002)
    accepted = judged(bars).accepted
    assert accepted.select(tables.PRICES).rows() == [(10.000001, 10.000002, 10.0, 10.0)]
    assert judged(accepted.select(bars.columns)).accepted.equals(accepted)


def test_zero_volume_is_kept_where_params_say_so() -> None:
    assert judged(one_bar(volume=0.0), zero_volume="keep").accepted.height == 1


@pytest.mark.parametrize("volume", [0.0, None, math.nan])
def test_a_market_series_needs_no_volume(volume: float | None) -> None:
    result = judged(one_bar(volume=volume), "market")
    assert result.accepted["volume"].to_list() == [0.0]
    assert result.rejected.is_empty()


@pytest.mark.parametrize("low", [-5.0, 0.0, 1.0])
def test_a_level_may_be_zero_or_negative_and_wide_but_not_contradict_itself(low: float) -> None:
    prices = {"open": low, "high": low + 20, "low": low, "close": low, "adj_close": None}
    bars = one_bar(**prices, volume=-1.0)
    assert reasons(judged(bars, "market", level=True)) == []
    assert reasons(judged(bars, "market")) != []
    crossed = one_bar(**(prices | {"high": low - 1}))
    assert reasons(judged(crossed, "market", level=True)) == ["high_below_low"]
    outside = one_bar(**(prices | {"close": low - 1}))
    assert reasons(judged(outside, "market", level=True)) == ["outside_range"]
    missing = one_bar(**(prices | {"close": math.nan}))
    assert reasons(judged(missing, "market", level=True)) == ["missing_value"]


def test_a_market_series_may_trade_on_other_days_but_not_break_other_rules() -> None:
    assert judged(one_bar(date=SATURDAY), "market").accepted["session"].to_list() == [-1]
    assert reasons(judged(one_bar(high=1.0), "market")) == ["high_below_low"]
    assert reasons(judged(one_bar(volume=-1.0), "market")) == ["negative_volume"]


def test_two_equal_rows_for_one_day_leave_one() -> None:
    bars = pl.concat([raw("ACME", [10.0, 11.0])] * 3)
    result = judged(bars.sort("date"))
    assert result.accepted.select(bars.columns).equals(raw("ACME", [10.0, 11.0]), null_equal=True)
    assert reasons(result) == ["duplicate"] * 4


def test_of_rows_that_disagree_on_a_day_none_is_kept() -> None:
    same = [days()[0]] * 3
    result = judged(raw("ACME", [10.0, 10.5, 10.0], same))
    assert result.accepted.is_empty()
    assert reasons(result) == ["conflict"] * 3


def test_a_bar_that_cannot_be_right_contests_no_other() -> None:
    same = [days()[0]] * 2
    result = judged(raw("ACME", [None, 10.5], same))
    assert result.accepted["close"].to_list() == [10.5]
    assert reasons(result) == ["missing_value"]


def test_the_same_day_of_another_symbol_is_no_double() -> None:
    result = judged(pl.concat([raw("ACME", [10.0]), raw("BOLT", [10.0])]))
    assert result.accepted["symbol"].to_list() == ["ACME", "BOLT"]


def test_rows_out_of_order_are_counted_and_sorted() -> None:
    order = [0, 3, 1, 2, 5, 4]
    bars = raw("ACME", [10.0, 11.0, 12.0, 13.0, 14.0, 15.0])
    result = judged(pl.concat([bars[order], raw("BOLT", [9.0, 8.0])]))
    assert result.disordered.rows() == [("ACME", 2)]
    assert result.accepted.filter(pl.col("symbol") == "ACME").select(bars.columns).equals(bars)


def test_symbols_out_of_order_are_sorted() -> None:
    result = judged(pl.concat([raw("BOLT", [9.0, 8.0]), raw("ACME", [10.0])]))
    assert result.accepted["symbol"].to_list() == ["ACME", "BOLT", "BOLT"]
    assert result.disordered.is_empty()


@pytest.mark.parametrize(
    ("need", "expected"),
    [
        ("ignored", []),
        ("once_begun", ["missing_value"]),
        ("always", ["missing_value", "missing_value"]),
    ],
)
def test_adj_close_may_be_missing_until_it_begins(need: AdjClose, expected: list[str]) -> None:
    bars = raw("ACME", [10.0] * 4, adj_close=[None, 9.0, 9.0, None])
    other = raw("BOLT", [10.0] * 2)
    assert reasons(judged(pl.concat([bars, other]), adj_close=need)) == expected + (
        ["missing_value"] * 2 if need == "always" else []
    )


def test_an_adj_close_that_is_used_must_be_positive() -> None:
    bars = one_bar(adj_close=0.0)
    assert reasons(judged(bars)) == ["non_positive_price"]
    assert reasons(judged(bars, adj_close="ignored")) == []


def test_hours_of_a_session() -> None:
    friday = hours(date(2012, 1, 6))
    early, late = friday[0] - timedelta(hours=1), friday[-1] + timedelta(hours=1)
    saturday = [time + timedelta(days=1) for time in friday[:1]]
    times = [early, *friday, late, *saturday]
    result = judged(raw_hourly("ACME", [(time, 10.0) for time in times]), "hourly")
    assert result.accepted["timestamp"].to_list() == friday
    assert result.accepted["date"].unique().to_list() == [date(2012, 1, 6)]
    assert result.rejected.select("timestamp", "date", "reason").rows() == [
        (early, date(2012, 1, 6), "outside_session"),
        (late, date(2012, 1, 6), "outside_session"),
        (saturday[0], SATURDAY, "not_a_session"),
    ]


def test_the_date_of_an_hour_outside_sessions_is_that_of_the_exchange() -> None:
    # 19:00 on Friday in New York is Saturday in UTC.
    night = datetime(2012, 1, 7, 0, 0, tzinfo=UTC)
    result = judged(raw_hourly("ACME", [(night, 10.0)]), "hourly")
    assert result.rejected.select("date", "reason").rows() == [
        (date(2012, 1, 6), "outside_session")
    ]


def test_hours_on_the_full_hour_begin_in_the_one_that_holds_the_opening() -> None:
    times = hours(date(2012, 1, 6), 8, first=0)
    result = judged(raw_hourly("ACME", [(time, 10.0) for time in times]), "hourly")
    assert result.accepted["timestamp"].to_list() == times[:7]


PRICES = st.sampled_from([10.0] * 12 + [11.0, 9.0, 0.0, -1.0, math.nan, math.inf, None])
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["ACME", "BOLT", "COIL"]),
        st.sampled_from([*days()[:6], SATURDAY]),
        PRICES,
        PRICES,
        PRICES,
        PRICES,
        st.sampled_from([None, None, None, 5.0, 5.0, math.nan, -1.0]),
        st.sampled_from([1000.0, 1000.0, 0.0, -1.0, None]),
    ),
    max_size=25,
)


def finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def own_fault(
    row: tuple[Any, ...], begun: date, need: str, zero: str, *, quiet: bool
) -> str | None:
    """The rules once more, as one would check a row with a pencil."""
    _, day, opened, high, low, close, adj, volume = row
    needs = need == "always" or (need == "once_begun" and day > begun)
    used = [adj] if need != "ignored" and finite(adj) else []
    whole = all(finite(value) for value in (opened, high, low, close))
    if not quiet:
        whole &= finite(volume)
    if not whole or (needs and not finite(adj)):
        return "missing_value"
    faults = {
        "non_positive_price": min(opened, high, low, close, *used) <= 0,
        "high_below_low": high < low,
        "outside_range": not (low <= opened <= high and low <= close <= high),
        "negative_volume": not quiet and volume < 0,
        "zero_volume": not quiet and volume == 0 and zero == "reject",
        "not_a_session": day == SATURDAY,
    }
    return next((fault for fault, present in faults.items() if present), None)


def by_hand(rows: list[tuple[Any, ...]], need: str, zero: str) -> list[tuple[Any, ...]]:
    """Each row with its reason, or None."""
    begun: dict[str, date] = defaultdict(lambda: date.max)
    for symbol, day, *_, adj, _ in rows:
        if finite(adj):
            begun[symbol] = min(day, begun[symbol])
    traded = {symbol for symbol, *_, volume in rows if volume is not None}
    verdicts = [
        (row, own_fault(row, begun[row[0]], need, zero, quiet=row[0] not in traded)) for row in rows
    ]
    times: dict[tuple[str, date], list[str]] = defaultdict(list)
    final = []
    for row, fault in verdicts:
        rivals = {repr(other) for other, its in verdicts if its is None and other[:2] == row[:2]}
        reason = fault
        if fault is None and len(rivals) > 1:
            reason = "conflict"
        elif fault is None and times[row[:2]]:
            reason = "duplicate"
        elif fault is None:
            times[row[:2]].append(repr(row))
        final.append((*row, reason))
    return final


def table(rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=dict(tables.RAW_DAILY), orient="row")


@examples(80)
@given(
    ROWS,
    st.sampled_from(["ignored", "once_begun", "always"]),
    st.sampled_from(["keep", "reject"]),
    st.randoms(use_true_random=False),
)
def test_every_row_is_kept_once_or_rejected_for_the_first_reason(
    rows: list[tuple[Any, ...]], need: AdjClose, zero: Any, random: Any
) -> None:
    result = judged(table(rows), adj_close=need, zero_volume=zero)
    expected = by_hand(rows, need, zero)
    assert sorted(map(repr, result.accepted.select(list(tables.RAW_DAILY)).rows())) == sorted(
        repr(row[:-1]) for row in expected if row[-1] is None
    )
    assert sorted(
        map(repr, result.rejected.select([*tables.RAW_DAILY, "reason"]).rows())
    ) == sorted(repr(row) for row in expected if row[-1] is not None)

    # The order of the rows does not matter, and what is clean stays clean.
    shuffled = random.sample(rows, len(rows))
    again = judged(table(shuffled), adj_close=need, zero_volume=zero)
    assert again.accepted.equals(result.accepted, null_equal=True)
    assert again.rejected.equals(result.rejected, null_equal=True)
    clean = judged(result.accepted.select(list(tables.RAW_DAILY)), adj_close=need, zero_volume=zero)
    assert clean.rejected.is_empty()
    assert clean.accepted.equals(result.accepted, null_equal=True)


@examples(60)
@given(ROWS)
def test_what_is_kept_is_sorted_unique_and_in_range(rows: list[tuple[Any, ...]]) -> None:
    accepted = judged(table(rows)).accepted
    keys = accepted.select("symbol", "date").rows()
    assert keys == sorted(set(keys))
    low, high = pl.col("low"), pl.col("high")
    assert accepted.filter(
        ~(pl.col("open").is_between(low, high) & pl.col("close").is_between(low, high))
    ).is_empty()
    assert accepted.select(pl.all_horizontal(pl.col(tables.PRICES) > 0).all()).item()
    assert (accepted["session"] >= 0).all()
