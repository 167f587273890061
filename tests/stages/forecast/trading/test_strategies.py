from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from stages.forecast.trading import account, performance, strategies
from stages.forecast.trading.backtest_params import BacktestParams
from stages.forecast.trading.grid import grid
from tests import panels
from tests.markets import FIRST, market

NAN = np.nan


def params(**changes: Any) -> BacktestParams:
    base = {"delay": 1, "cost": 5, "slippage": 5, "cap": 1, "volatility": 0.15, "seed": 0}
    return BacktestParams(**(base | changes))


# --- one session


def test_each_symbol_with_a_forecast_has_an_equal_share() -> None:
    forecast = np.array([[0.1, -0.2, NAN, 0.0], [NAN, NAN, NAN, NAN]])
    third = 1 / 3
    assert strategies.long(forecast).tolist() == [[third, third, 0, third], [0, 0, 0, 0]]
    assert strategies.sign(forecast).tolist() == [[third, -third, 0, 0], [0, 0, 0, 0]]


@given(st.integers(0, 2**32), st.integers(5, 30))
@panels.examples(30)
def test_ranks_are_half_long_and_half_short(seed: int, symbols: int) -> None:
    rng = np.random.default_rng(seed)
    forecast = rng.normal(size=(3, symbols)).round(1)
    forecast[1, : symbols - 4] = NAN
    forecast[2] = 0.5
    shares = strategies.rank(forecast)
    centred = rankdata(forecast[0]) - (symbols + 1) / 2
    assert shares[0] == pytest.approx(centred / np.abs(centred).sum())
    assert shares[0][shares[0] > 0].sum() == pytest.approx(0.5)
    # Four cannot be ranked, and equal forecasts have no order.
    assert not shares[1:].any()


def test_mean_over_variance_is_capped() -> None:
    forecast = np.array([[0.0001, -0.0002, 0.01, -0.01, 0.01, 0.0, NAN]])
    deviation = np.array([[0.02, 0.02, 0.01, 0.01, 0.0, 0.0, NAN]])
    shares = strategies.mean_variance(forecast, deviation, cap=1.5) * 6
    assert shares[0] == pytest.approx([0.25, -0.5, 1.5, -1.5, 1.5, 0, 0])


# --- over time


def test_overlapping_forecasts_have_equal_parts() -> None:
    positions = np.array([[1.0], [0.0], [-1.0], [1.0], [1.0], [1.0]])
    assert strategies.overlapping(positions, 1).tolist() == positions.tolist()
    assert strategies.overlapping(positions, 3)[:, 0] == pytest.approx([1, 0.5, 0, 0, 1 / 3, 1])
    assert strategies.overlapping(positions, 63)[:, 0] == pytest.approx(
        [1, 1 / 2, 0, 1 / 4, 2 / 5, 1 / 2]
    )


def test_volatility_is_that_of_the_equal_portfolio_as_riskmetrics_has_it() -> None:
    rng = np.random.default_rng(3)
    returns = rng.normal(0, 0.01, (300, 4))
    returns[5, 2] = NAN
    series = pl.Series(np.nanmean(returns, axis=1)) ** 2
    expected = (series.ewm_mean(alpha=0.06, adjust=False) * 252).sqrt()
    assert strategies.volatility(returns) == pytest.approx(expected.to_numpy())


def test_a_forecast_is_held_after_its_delay() -> None:
    """Whoever knows the return of the coming session earns it without a delay, and only so."""
    _, bars = market(4, symbols=6)
    known = bars.with_columns(
        forecast=(pl.col("adj_close").shift(-1) / pl.col("adj_close")).over("symbol") - 1,
        lower=pl.lit(-0.02),
        upper=pl.lit(0.02),
    ).drop_nulls("forecast")
    panel = grid(known.filter(pl.col("date") > FIRST + timedelta(days=280)), bars, 0.9)
    for delay, least in ((0, 10.0), (1, -3.0)):
        chosen = params(delay=delay, cost=0, slippage=0)
        traded = strategies.positions(panel, 1, chosen)
        for name in ("sign", "rank", "mean_variance"):
            done = account.trade(traded[name], panel.returns[panel.traded(delay)], 0)
            ratio = performance.sharpe(done.returns)
            assert ratio is not None
            assert ratio > least
            assert delay == 0 or ratio < 3


@pytest.mark.parametrize(
    ("horizon", "delay", "cut"), [(1, 0, 30), (1, 1, 5), (5, 0, 20), (21, 1, 40), (21, 2, 60)]
)
def test_what_is_cut_off_the_future_changes_no_earlier_position(
    horizon: int, delay: int, cut: int
) -> None:
    forecasts, bars = market(cut, symbols=6, sessions=300, held_out=120, horizon=horizon)
    # One symbol begins late and another ends early.
    late, end = FIRST + timedelta(days=200), FIRST + timedelta(days=220)
    ends = (pl.col("symbol") != "S002") | (pl.col("date") < end)
    begins = (pl.col("symbol") != "S001") | (pl.col("date") > late)
    forecasts, bars = forecasts.filter(ends & begins), bars.filter(ends & begins)
    day = FIRST + timedelta(days=299 - cut)
    known = forecasts.filter(pl.col("target_date") <= day)
    whole = grid(forecasts, bars, 0.9)
    part = grid(known, bars.filter(pl.col("date") <= day), 0.9)
    after = strategies.positions(whole, horizon, params(delay=delay))
    before = strategies.positions(part, horizon, params(delay=delay))
    assert list(before) == list(after)
    sessions = part.traded(delay)
    assert whole.traded(delay).start == sessions.start
    assert part.dates[sessions].equals(whole.dates[sessions])
    for name, positions in before.items():
        assert len(positions) == sessions.stop - sessions.start > 0
        assert positions.tobytes() == after[name][: len(positions)].tobytes(), name


@pytest.mark.parametrize(("horizon", "delay"), [(1, 0), (21, 0), (1, 2)])
def test_another_future_changes_no_earlier_position(horizon: int, delay: int) -> None:
    panel = grid(*market(7, symbols=6, held_out=120, horizon=horizon), 0.9)
    before = strategies.positions(panel, horizon, params(delay=delay))
    for row in (0, 17, 80):
        forecast, deviation, returns = (
            array.copy() for array in (panel.forecast, panel.deviation, panel.returns)
        )
        forecast[panel.first + row + 1 :] *= -3
        deviation[panel.first + row + 1 :] *= 2
        # What is bought once drifts up to the trade.
        returns[panel.first + row + delay + 1 :] *= -5
        other = replace(panel, forecast=forecast, deviation=deviation, returns=returns)
        after = strategies.positions(other, horizon, params(delay=delay))
        for name, positions in before.items():
            same = (positions == after[name]).all(axis=1)
            assert same[: row + 1].all(), name
            assert not same[row + 1 :].all() or name == "equal_weight", name


@pytest.mark.parametrize("horizon", [1, 21])
def test_noise_beats_holding_no_more_often_than_chance(horizon: int) -> None:
    """Forecasts of other sessions, 60 times: about 5 percent would pass for skill."""
    lucky = dict.fromkeys(("sign", "rank", "mean_variance"), 0)
    for seed in range(12):
        panel = grid(*market(seed, symbols=25, sessions=330, held_out=252, horizon=horizon), 0.9)
        rows = slice(panel.first, panel.last + 1)
        for first in range(0, 25, 5):
            own = slice(first, first + 5)
            other = np.random.default_rng([seed, first]).permutation(panel.last + 1 - panel.first)
            forecast, deviation = panel.forecast[:, own].copy(), panel.deviation[:, own].copy()
            forecast[rows], deviation[rows] = forecast[rows][other], deviation[rows][other]
            few = replace(
                panel, forecast=forecast, deviation=deviation, returns=panel.returns[:, own]
            )
            accounts = {
                name: account.trade(positions, few.returns[few.traded(1)], rate=0)
                for name, positions in strategies.positions(few, horizon, params()).items()
            }
            holding = {name: accounts[name] for name in strategies.HOLDING}
            for name in lucky:
                _, p_value = performance.gain_over(accounts[name], holding, horizon)
                assert p_value is not None
                lucky[name] += p_value < 0.05
    # 3 of 60, four standard deviations above; to beat all three ways by chance is less likely.
    assert max(lucky.values()) <= 9, lucky
