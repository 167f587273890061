"""Prices carried forward over splits and dividends, and which jumps are explained by what."""

from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.bars.cleaning.adjust import FACTOR_TOLERANCE, Adjusted, Mode, adjust
from stages.common.errors import DataError
from tests.exchange import days, ex_dates, hours, raw, raw_hourly
from tests.messages import facts
from tests.panels import examples, sample

GAP = 0.18
NOTHING = ex_dates()


def adjusted(
    bars: pl.DataFrame, actions: pl.DataFrame = NOTHING, mode: Mode = "auto", gap: float = GAP
) -> Adjusted:
    return adjust(bars, actions, mode, gap)


def explained(result: Adjusted) -> list[tuple[date, str | None]]:
    return result.moves.select("date", "explained").rows()


def test_without_actions_nothing_changes() -> None:
    result = adjusted(raw("ACME", [10.0, 10.5, 9.9]))
    assert result.factor.tolist() == [1.0, 1.0, 1.0]
    assert result.moves.is_empty()


def test_no_bars_at_all() -> None:
    assert adjusted(raw("ACME", []), ex_dates([("ACME", days()[0], 2.0, 0.0)])).factor.size == 0


def test_a_split_multiplies_from_its_ex_date_on() -> None:
    bars = raw("ACME", [10.0, 10.0, 5.1, 5.0])
    result = adjusted(bars, ex_dates([("ACME", days()[2], 2.0, 0.0)]))
    assert result.factor.tolist() == [1.0, 1.0, 2.0, 2.0]
    assert result.applied.tolist() == [0, 0, 1, 0]
    assert explained(result) == [(days()[2], "actions")]


def test_an_ex_date_without_a_bar_takes_effect_at_the_next() -> None:
    dates = [days()[at] for at in (0, 1, 5, 6)]
    bars = raw("ACME", [10.0, 10.0, 2.5, 2.5], dates)
    actions = ex_dates(
        [("ACME", days()[2], 2.0, 0.0), ("ACME", days()[3] + timedelta(days=1), 2.0, 0.0)]
    )
    result = adjusted(bars, actions)
    assert result.factor.tolist() == [1.0, 1.0, 4.0, 4.0]
    assert result.applied.tolist() == [0, 0, 2, 0]


@pytest.mark.parametrize("at", [date(1999, 1, 4), days()[0], days()[3], date(2030, 1, 1)])
def test_an_action_before_the_first_bar_or_after_the_last_has_no_effect(at: date) -> None:
    bars = pl.concat([raw("ACME", [10.0, 10.0, 10.0]), raw("BOLT", [5.0, 5.0, 5.0])])
    result = adjusted(bars, ex_dates([("ACME", at, 2.0, 0.0), ("ZOO", days()[1], 2.0, 0.0)]))
    assert result.factor.tolist() == [1.0] * 6


def test_a_dividend_gives_back_what_the_price_lost() -> None:
    result = adjusted(raw("ACME", [10.0, 10.0, 9.5]), ex_dates([("ACME", days()[2], None, 0.5)]))
    assert result.factor.tolist() == [1.0, 1.0, 10.0 / 9.5]


def test_a_dividend_on_the_day_of_a_split_is_one_of_the_new_shares() -> None:
    # Two new shares at 5 instead of one at 10, and 0.5 paid on each.
    result = adjusted(raw("ACME", [10.0, 4.5]), ex_dates([("ACME", days()[1], 2.0, 0.5)]))
    assert (result.factor * [10.0, 4.5]).tolist() == [10.0, 10.0]


def test_a_dividend_that_is_worth_more_than_the_share() -> None:
    with pytest.raises(DataError) as caught:
        adjusted(raw("ACME", [10.0, 10.0]), ex_dates([("ACME", days()[1], 1.0, 12.0)]))
    assert facts(str(caught.value)) == facts(
        "ACME: 2012-01-04: a dividend of 12 on a share of 10 cannot be; correct it by a line in "
        "data/actions.csv"
    )


def test_the_factor_of_adj_close_is_carried_forward() -> None:
    # As a source has it: today's bar is 1, older ones are divided.
    bars = raw("ACME", [10.0, 10.0, 5.0, 5.0], adj_close=[5.0, 5.0, 5.0, 5.0])
    result = adjusted(bars)
    assert result.factor.tolist() == [1.0, 1.0, 2.0, 2.0]
    assert explained(result) == [(days()[2], "adj_close")]


def test_a_crash_that_adj_close_shares_is_no_action() -> None:
    bars = raw("ACME", [10.0, 5.0], adj_close=[2.0, 1.0])
    result = adjusted(bars)
    assert result.factor.tolist() == [1.0, 1.0]
    assert explained(result) == [(days()[1], "adj_close")]


def test_rounding_of_adj_close_is_no_action() -> None:
    close = np.linspace(20.0, 30.0, 200).round(2)
    bars = raw("ACME", close.tolist(), adj_close=(close / 3.7).round(6).tolist())
    assert adjusted(bars).factor.tolist() == [1.0] * 200


def test_coarse_rounding_of_adj_close_does_not_add_up() -> None:
    # Two decimals at prices near 2: steps beyond the tolerance are taken.
    rng = np.random.default_rng(3)
    close = (2 + np.cumsum(rng.normal(0, 0.02, 240)) * 0.3).round(2)
    bars = raw("ACME", close.tolist(), adj_close=(close / 3).round(2).tolist())
    factor = bars["adj_close"].to_numpy() / close
    assert (np.abs(adjusted(bars).factor / (factor / factor[0]) - 1) < FACTOR_TOLERANCE).all()


def test_moves_too_small_to_be_taken_are_made_up_for_by_the_next_that_is() -> None:
    factor = [1.0, 1.00009, 1.00018, 1.00027, 1.5]
    bars = raw("ACME", [10.0] * 5, adj_close=[10 * value for value in factor])
    assert adjusted(bars).factor.tolist() == [1.0, 1.0, 1.0, 1.0, 1.5]


def test_a_hand_kept_line_overrides_adj_close() -> None:
    bars = raw("ACME", [10.0, 5.0, 5.0, 4.0], adj_close=[10.0, 5.0, 5.0, 5.0])
    result = adjusted(bars, ex_dates(hand=[("ACME", days()[1], 2.0, 0.0)]))
    assert result.factor.tolist() == [1.0, 2.0, 2.0, 2.5]
    assert explained(result) == [(days()[1], "actions"), (days()[3], "adj_close")]


def test_the_sources_actions_are_in_its_adj_close_already() -> None:
    bars = raw("ACME", [10.0, 5.0], adj_close=[5.0, 5.0])
    result = adjusted(bars, ex_dates([("ACME", days()[1], 2.0, 0.0)]))
    assert result.factor.tolist() == [1.0, 2.0]


def test_actions_answer_until_adj_close_begins() -> None:
    bars = raw("ACME", [10.0, 5.0, 5.0, 2.5], adj_close=[None, None, 1.0, 1.0])
    result = adjusted(bars, ex_dates([("ACME", days()[1], 2.0, 0.0)]))
    assert result.factor.tolist() == [1.0, 2.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("mode", "factor", "reason"),
    [
        ("auto", 2.0, "adj_close"),
        ("adj_close", 2.0, "adj_close"),
        ("actions", 1.0, None),
        ("none", 1.0, "not_adjusted"),
    ],
)
def test_the_modes(mode: Mode, factor: float, reason: str | None) -> None:
    bars = raw("ACME", [10.0, 5.0], adj_close=[5.0, 5.0])
    result = adjusted(bars, mode=mode)
    assert result.factor.tolist() == [1.0, factor]
    assert explained(result) == [(days()[1], reason)]


@pytest.mark.parametrize(
    ("opened", "reasons"),
    [(11.7, []), (8.5, []), (11.9, [None]), (8.4, [None]), (5.0, [None])],
)
def test_only_the_gap_over_night_must_be_explained(opened: float, reasons: list[None]) -> None:
    # The last bar falls by half within its session.
    bars = raw("ACME", [10.0, 10.0, 5.0], open=[10.0, 10.0, opened])
    result = adjusted(bars)
    assert [who for _, who in explained(result)] == reasons
    assert result.factor.tolist() == [1.0, 1.0, 1.0]


def test_a_gap_over_missing_sessions_counts() -> None:
    bars = raw("ACME", [10.0, 5.0], [days()[0], days()[40]])
    assert explained(adjusted(bars)) == [(days()[40], None)]


def test_another_symbol_is_no_gap() -> None:
    assert adjusted(pl.concat([raw("ACME", [10.0]), raw("BOLT", [99.0])])).moves.is_empty()


@pytest.mark.parametrize(
    ("hand", "factor", "reason"),
    [
        # a split that explains it, one that does not, both with the rest declared genuine
        ([(2.0, 0.0)], 2.0, "actions"),
        ([(3.0, 0.0)], 3.0, None),
        ([(3.0, 0.0), (1.0, 0.0)], 3.0, "declared"),
        ([(1.0, 0.0)], 1.0, "declared"),
        # a small dividend is no explanation
        ([(1.0, 0.1)], 10 / 9.9, None),
    ],
)
def test_what_explains_a_jump(
    hand: list[tuple[float, float]], factor: float, reason: str | None
) -> None:
    bars = raw("ACME", [10.0, 5.0])
    lines = [("ACME", days()[1], *values) for values in hand]
    result = adjusted(bars, ex_dates(hand=lines))
    assert result.factor.tolist() == [1.0, pytest.approx(factor, rel=1e-15)]
    assert explained(result) == [(days()[1], reason)]


def test_a_split_on_a_day_without_a_jump_is_one_to_be_explained() -> None:
    result = adjusted(raw("ACME", [10.0, 10.0]), ex_dates([("ACME", days()[1], 2.0, 0.0)]))
    assert explained(result) == [(days()[1], None)]


def test_a_line_of_1_cancels_the_sources_action() -> None:
    actions = ex_dates([("ACME", days()[1], 2.0, 0.0)], hand=[("ACME", days()[1], 1.0, 0.0)])
    result = adjusted(raw("ACME", [10.0, 10.0]), actions)
    assert result.factor.tolist() == [1.0, 1.0]
    assert result.moves.is_empty()


def test_a_line_without_a_date_declares_every_move_genuine() -> None:
    bars = pl.concat([raw("^VIX", [10.0, 20.0, 9.0]), raw("ACME", [10.0, 20.0])])
    result = adjusted(bars, ex_dates(hand=[("^VIX", None, 1.0, 0.0)]))
    assert result.moves.select("symbol", "explained").rows() == [
        ("^VIX", "declared"),
        ("^VIX", "declared"),
        ("ACME", None),
    ]


def test_hours_jump_between_sessions_only() -> None:
    first, second = (hours(day, 2) for day in days()[:2])
    bars = raw_hourly("ACME", list(zip([*first, *second], [10.0, 5.0, 5.0, 2.5], strict=True)))
    dated = bars.with_columns(date=pl.col("timestamp").dt.date())
    assert adjusted(dated, mode="actions").moves.is_empty()
    later = dated.with_columns(open=pl.Series([10.0, 5.0, 2.5, 2.5]))
    split = ex_dates([("ACME", days()[1], 2.0, 0.0)])
    result = adjusted(later, split, "actions")
    assert result.factor.tolist() == [1.0, 1.0, 2.0, 2.0]
    assert explained(result) == [(days()[1], "actions")]


def test_the_real_sample_keeps_its_crash_and_loses_its_splits() -> None:
    source = sample().with_columns(volume=1.0)
    # sample() carries forward; a source carries back: today's factor is 1.
    back = source.with_columns(
        adj_close=pl.col("adj_close")
        / (pl.col("adj_close") / pl.col("close")).last().over("symbol")
    )
    result = adjusted(back)
    bars = back.with_columns(adj_close=pl.col("close") * result.factor)
    returns = bars.with_columns(
        change=pl.col("adj_close") / pl.col("adj_close").shift(1) - 1,
        traded=pl.col("close") / pl.col("close").shift(1) - 1,
    )

    def change(symbol: str, day: date, column: str = "change") -> float:
        row = returns.filter((pl.col("symbol") == symbol) & (pl.col("date") == day))
        return float(row[column].item())

    assert change("AAPL", date(2000, 9, 29)) == pytest.approx(-0.519, abs=0.001)
    for symbol, day in (
        ("AAPL", date(2000, 6, 21)),
        ("AAPL", date(2005, 2, 28)),
        ("MSFT", date(2003, 2, 18)),
    ):
        assert change(symbol, day, "traded") < -0.4
        assert abs(change(symbol, day)) < 0.12
    assert result.moves["explained"].unique().to_list() == ["adj_close"]
    assert result.moves.select("symbol", "date").rows() == [
        ("AAPL", date(2000, 6, 21)),
        ("AAPL", date(2000, 9, 29)),
        ("AAPL", date(2005, 2, 28)),
        ("GOOG", date(2008, 4, 18)),
        ("MSFT", date(2003, 2, 18)),
    ]
    # Against the source, by another way: both say the same of every day's return.
    theirs = back["adj_close"].to_numpy()
    ours = bars["adj_close"].to_numpy()
    same = (back["symbol"] == back["symbol"].shift(1)).fill_null(value=False).to_numpy()[1:]
    np.testing.assert_allclose(
        (ours[1:] / ours[:-1])[same], (theirs[1:] / theirs[:-1])[same], rtol=1e-9
    )


DAYS = days()[:30]
ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["ACME", "BOLT"]),
        st.sampled_from([day + timedelta(days=gap) for day in DAYS for gap in (0, 1)]),
        st.sampled_from([None, 1.0, 2.0, 0.5, 1.5]),
        st.sampled_from([None, 0.0, 0.01, 0.2]),
    ),
    max_size=8,
)


def panel(seed: int) -> pl.DataFrame:
    """Two symbols on some of the days; some with adj_close from some day on."""
    rng = np.random.default_rng(seed)
    parts = []
    for symbol in ("ACME", "BOLT"):
        dates = [day for day in DAYS if rng.random() < 0.8]
        close = np.exp(rng.normal(0, 0.1, len(dates)).cumsum()) * 10
        factor = np.cumprod(rng.choice([1.0, 1.0, 1.0, 1 + 1e-5, 1.02, 2.0], len(dates)))
        begins = rng.choice([0, len(dates) // 2, len(dates)])
        adj = [
            float(value) if at >= begins else None
            for at, value in enumerate((close * factor).round(rng.choice([2, 6])))
        ]
        parts.append(raw(symbol, close.tolist(), dates, adj_close=adj))
    return pl.concat(parts)


def until(frame: pl.DataFrame, day: date) -> pl.DataFrame:
    return frame.filter(pl.col("date") <= day)


@examples(60)
@given(
    st.integers(0, 2**32),
    ACTIONS,
    ACTIONS,
    st.sampled_from(["auto", "adj_close", "actions"]),
    st.sampled_from(DAYS),
)
def test_the_future_moves_nothing(
    seed: int, source: list[Any], hand: list[Any], mode: Mode, day: date
) -> None:
    bars = panel(seed)
    actions = ex_dates(source, [(s, d, r or 1.0, p or 0.0) for s, d, r, p in hand])
    whole = adjusted(bars, actions, mode)
    known = until(bars, day)
    for some in (actions, actions.filter(pl.col("date") <= day)):
        part = adjusted(known, some, mode)
        earlier = (bars["date"] <= day).to_numpy()
        assert part.factor.tobytes() == whole.factor[earlier].tobytes()
        assert part.applied.tolist() == whole.applied[earlier].tolist()
        assert part.moves.equals(until(whole.moves, day), null_equal=True)


@examples(60)
@given(st.integers(0, 2**32), ACTIONS)
def test_adjusted_closes_are_what_a_holder_has(seed: int, source: list[Any]) -> None:
    """Keeps one share, takes every split, puts every dividend into the share at once."""
    bars = panel(seed).with_columns(adj_close=pl.lit(None, dtype=pl.Float64))
    actions = ex_dates(source)
    result = adjusted(bars, actions)
    for symbol in ("ACME", "BOLT"):
        mine = bars.filter(pl.col("symbol") == symbol)
        closes = dict(mine.select("date", "close").iter_rows())
        shares = {mine["date"][0]: 1.0} if mine.height else {}
        for before, now in pairwise(closes):
            due = actions.filter(
                (pl.col("symbol") == symbol) & (pl.col("date") > before) & (pl.col("date") <= now)
            )
            ratio = float(np.prod(due["ratio"].to_list()))
            paid = sum(due["dividend"].to_list())
            # What a share is worth as the day begins, if nothing but the payment moves it.
            worth = closes[before] / ratio - paid
            shares[now] = shares[before] * ratio * (1 + paid / worth)
        factors = result.factor[(bars["symbol"] == symbol).to_numpy()]
        np.testing.assert_allclose(factors, list(shares.values()), rtol=1e-12)


@examples(40)
@given(st.integers(0, 2**32), ACTIONS, st.sampled_from(["auto", "actions"]))
def test_a_symbol_does_not_depend_on_its_neighbours(
    seed: int, source: list[Any], mode: Mode
) -> None:
    bars = panel(seed)
    actions = ex_dates(source)
    together = adjusted(bars, actions, mode)
    alone = [
        adjusted(bars.filter(pl.col("symbol") == symbol), actions, mode)
        for symbol in ("ACME", "BOLT")
    ]
    assert together.factor.tobytes() == b"".join(part.factor.tobytes() for part in alone)
    assert together.moves.equals(pl.concat([part.moves for part in alone]), null_equal=True)
