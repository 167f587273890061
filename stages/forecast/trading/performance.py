"""How an account performed, and whether it beat another by more than chance."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr

from stages.forecast.scoring.scores import long_run_variance
from stages.forecast.trading.account import Account
from stages.forecast.trading.grid import Array
from stages.forecast.trading.strategies import PER_YEAR

DRAWS, INTERVAL = 1000, 0.9
"""Of the bootstrap: how often it draws, and the share of the draws in its interval."""

FEWEST = 3
"""Sessions that an account needs for a test."""


def sharpe(returns: Array) -> float | None:
    """Yearly Sharpe ratio (Sharpe, 1994) without a riskless rate; None if nothing varies."""
    deviation = _deviation(returns)
    return float(returns.mean() / deviation * np.sqrt(PER_YEAR)) if deviation > 0 else None


def _deviation(returns: Array) -> float:
    return float(returns.std(ddof=1)) if len(returns) > 1 and np.ptp(returns) > 0 else 0.0


def performance(account: Account) -> dict[str, float | None]:
    """Return, volatility and Sharpe ratio of a year, the largest loss, and how it traded.

    Returns:
        `return, volatility, sharpe`, `max_drawdown` (zero or negative), `turnover` (value traded
        in a year, in multiples of the account) and `hit_rate` (share of the sessions with a
        gain, of those that changed its worth).
    """
    returns = account.returns
    moved = int((returns != 0).sum())
    return {
        "return": float(account.equity[-1] ** (PER_YEAR / len(returns)) - 1),
        "volatility": _deviation(returns) * float(np.sqrt(PER_YEAR)),
        "sharpe": sharpe(returns),
        "max_drawdown": float(account.drawdown.min()),
        "turnover": float(account.turnover.mean()) * PER_YEAR,
        "hit_rate": float((returns > 0).sum() / moved) if moved else None,
    }


def draws(sessions: int, horizon: int, seed: int) -> npt.NDArray[np.int64]:
    """Sessions of the circular block bootstrap (Politis and Romano, 1992), (`DRAWS`, sessions).

    A block is as long as the horizon, but at most a quarter of the sessions.
    """
    block = max(1, min(horizon, sessions // 4))
    blocks = -(-sessions // block)
    starts = np.random.default_rng(seed).integers(0, sessions, (DRAWS, blocks, 1))
    return ((starts + np.arange(block)) % sessions).reshape(DRAWS, -1)[:, :sessions]


def sharpe_interval(
    returns: Array, drawn: npt.NDArray[np.int64]
) -> tuple[float | None, float | None]:
    """The interval of the Sharpe ratio over the draws; None if nothing varies."""
    if _deviation(returns) == 0:
        return None, None
    again = returns[drawn]
    deviation = again.std(axis=1, ddof=1)
    ratios = again.mean(axis=1) / np.where(deviation > 0, deviation, np.inf) * np.sqrt(PER_YEAR)
    lower, upper = np.quantile(ratios, [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2])
    return float(lower), float(upper)


def sharpe_gain(own: Array, other: Array, horizon: int) -> tuple[float | None, float | None]:
    """How much higher the Sharpe ratio is than that of another account, and how likely by chance.

    The test of Ledoit and Wolf (2008) on pairs of returns, with the variance that
    `long_run_variance` gives for overlapping positions.

    Returns:
        The yearly gain and its one-sided p-value; None where an account does not vary, or where
        there are fewer than `FEWEST` sessions. The p-value of two equal accounts is 1.
    """
    if len(own) < FEWEST or min(_deviation(own), _deviation(other)) == 0:
        return None, None
    pulls, ratios = [], []
    for returns in (own, other):
        units = (returns - returns.mean()) / returns.std()
        ratio = float(returns.mean() / returns.std(ddof=1))
        # How much each session moves the ratio.
        pulls.append(units - ratio / 2 * (units**2 - 1))
        ratios.append(ratio)
    gain, pull = ratios[0] - ratios[1], pulls[0] - pulls[1]
    variance, freedom = long_run_variance(pull, horizon)
    if variance <= 1e-20:  # noqa: PLR2004  # nothing but rounding
        return 0.0, 1.0
    p_value = float(stdtr(freedom, -gain / np.sqrt(variance / len(pull))))
    return gain * float(np.sqrt(PER_YEAR)), p_value


def gain_over(
    own: Account, others: Mapping[str, Account], horizon: int
) -> tuple[float | None, float | None]:
    """The gain over the best of other accounts, and the p-value of beating all of them.

    That p-value is the largest of all: who beats each of them beats them all (Berger, 1982), so
    several comparisons need no correction.
    """
    tests = [sharpe_gain(own.returns, other.returns, horizon) for other in others.values()]
    gains = [gain for gain, _ in tests if gain is not None]
    p_values = [p_value for _, p_value in tests if p_value is not None]
    return min(gains, default=None), max(p_values, default=None)
