from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.forecast.trading import account, performance, strategies
from stages.forecast.trading.account import Account
from tests import panels

Array = npt.NDArray[np.float64]


def market(seed: int, sessions: int, symbols: int) -> tuple[Array, Array]:
    """Random shares of an account, long and short, and returns."""
    rng = np.random.default_rng(seed)
    positions = rng.normal(0, 0.4, (sessions, symbols))
    return positions, rng.normal(0.0005, 0.02, (sessions, symbols))


@pytest.mark.parametrize("rate", [0.0, 0.001])
def test_an_account_is_worth_what_another_backtester_says(rate: float) -> None:
    """`bt` buys shares at prices with money; ours multiplies arrays."""
    import bt

    positions, returns = market(1, sessions=120, symbols=3)
    days = pd.bdate_range("2010-01-01", periods=121)
    growth = np.vstack([np.ones(3), np.cumprod(1 + returns, axis=0)])
    prices = pd.DataFrame(100 * growth, index=days, columns=list("abc"))
    weights = pd.DataFrame(positions, index=days[:-1], columns=list("abc"))
    strategy = bt.Strategy("s", [bt.algos.WeighTarget(weights), bt.algos.Rebalance()])
    test = bt.Backtest(
        strategy,
        prices,
        integer_positions=False,
        commissions=lambda quantity, price: rate * abs(quantity) * price,
        progress_bar=False,
    )
    result = bt.run(test)
    ours = account.trade(positions, returns, rate)
    theirs = result.prices["s"].to_numpy()[-121:] / 100
    # Theirs pays for a trade at the close before the session, ours in it; theirs from cash, ours
    # from every position alike.
    paid = ours.equity * np.append(1 - rate * ours.turnover[1:], 1)
    assert paid == pytest.approx(theirs[1:], rel=1e-12 if rate == 0 else 5e-4)
    if rate > 0:
        assert ours.equity[-1] < 0.9 * account.trade(positions, returns, 0).equity[-1]
    if rate == 0:
        scores, stats = performance.performance(ours), result.stats["s"]
        daily = pd.Series(theirs).pct_change().iloc[1:]
        assert scores["max_drawdown"] == pytest.approx(stats["max_drawdown"], rel=1e-9)
        assert scores["sharpe"] == pytest.approx(bt.ffn.calc_sharpe(daily, nperiods=252), rel=1e-9)
        assert scores["volatility"] == pytest.approx(daily.std() * 252**0.5, rel=1e-9)


def test_a_share_that_drifts_is_traded_back_and_pays() -> None:
    positions = np.array([[0.5, 0.5], [0.5, 0.5]])
    done = account.trade(positions, np.array([[0.1, 0.0], [0.0, 0.0]]), rate=0.01)
    # 0.55 and 0.5 of 1.05: the first is sold down to a half, the second bought.
    drift = 0.55 / 1.05 - 0.5
    assert done.turnover == pytest.approx([1.0, 2 * drift])
    assert done.returns == pytest.approx([0.99 * 1.05 - 1, -0.01 * 2 * drift])


def test_what_is_bought_once_is_never_traded_again() -> None:
    _, returns = market(2, sessions=300, symbols=4)
    first = np.array([0.25, 0.5, 0.25, 0.0])
    positions = strategies.bought(first, returns)
    done = account.trade(positions, returns, rate=0.01)
    assert done.turnover[0] == 1
    assert done.turnover[1:] == pytest.approx(np.zeros(299), abs=1e-12)
    assert done.equity[-1] == pytest.approx(0.99 * (first @ np.prod(1 + returns, axis=0)))


def test_a_symbol_without_a_bar_keeps_its_worth() -> None:
    returns = np.array([[0.1], [np.nan], [0.1]])
    assert account.trade(np.ones((3, 1)), returns, 0).equity == pytest.approx([1.1, 1.1, 1.21])


def test_an_account_that_has_lost_everything_stays_lost() -> None:
    positions = np.array([[-2.0], [1.0], [1.0]])
    done = account.trade(positions, np.array([[0.6], [0.5], [0.5]]), rate=0.001)
    assert done.equity.tolist() == [0, 0, 0]
    assert done.drawdown.tolist() == [-1, -1, -1]


@given(st.integers(0, 2**32), st.integers(1, 700))
@panels.examples(30)
def test_curves_are_small_and_keep_the_end_and_the_deepest_loss(seed: int, sessions: int) -> None:
    positions, returns = market(seed, sessions, symbols=2)
    done = account.trade(positions, returns, 0.001)
    dates = pl.Series([date(2010, 1, 1) + timedelta(days=i) for i in range(sessions)])
    curves = account.curves({"own": done, "other": Account(returns[:, 0], returns[:, 0])}, dates)
    assert list(curves) == ["equity", "drawdown"]
    for name, rows in curves.items():
        assert rows.columns == ["date", "portfolio", name]
        assert rows["portfolio"].unique(maintain_order=True).to_list() == ["own", "other"]
        own = rows.filter(portfolio="own")
        assert own.height <= account.POINTS
        assert own["date"].is_sorted()
        assert own["date"][-1] == dates[-1]
    own = curves["equity"].filter(portfolio="own")
    assert own["equity"][-1] == done.equity[-1]
    assert curves["drawdown"].filter(portfolio="own")["drawdown"].min() == done.drawdown.min()
