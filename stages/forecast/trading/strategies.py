"""From forecasts to positions, as shares of the account: three ways to trade, three to hold.

A function of one session sees that session's row and nothing else; only `overlapping` and
`volatility` look back, and nothing looks ahead.
"""

import numpy as np
import polars as pl

from stages.forecast.trading.backtest_params import BacktestParams
from stages.forecast.trading.grid import Array, Grid

HOLDING = ("buy_and_hold", "equal_weight", "volatility_target")
"""The ways to hold; all others are strategies."""

FEWEST = 5
"""Symbols of a session that can be ranked."""

DECAY = 0.94
"""Of the weights of past squared returns, as in RiskMetrics (J.P. Morgan, 1996)."""

PER_YEAR = 252
"""Sessions of a year."""


def long(forecast: Array) -> Array:
    """The same share of the account in each symbol that has a forecast, (sessions, symbols)."""
    known = np.isfinite(forecast)
    shares: Array = known / np.maximum(known.sum(axis=1, keepdims=True), 1)
    return shares


def sign(forecast: Array) -> Array:
    """An equal share in each symbol: long where a rise is forecast, short where a fall is."""
    return np.sign(np.nan_to_num(forecast)) * long(forecast)


def rank(forecast: Array) -> Array:
    """Half of the account long and half short, by the rank of the forecast across symbols.

    Nothing in a session with fewer than `FEWEST` forecasts, or with equal ones.
    """
    sessions = pl.DataFrame(forecast.T, orient="row", nan_to_null=True)
    ranks = sessions.select(pl.all().rank() - pl.all().rank().mean()).to_numpy().T
    centred = np.nan_to_num(ranks) * (np.isfinite(forecast).sum(axis=1, keepdims=True) >= FEWEST)
    shares: Array = centred / np.maximum(np.abs(centred).sum(axis=1, keepdims=True), 1)
    return shares


def mean_variance(forecast: Array, deviation: Array, cap: float) -> Array:
    """The forecast divided by its variance (Kelly, 1956), at most `cap` equal shares each way."""
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = forecast / deviation**2
    return np.clip(np.nan_to_num(shares, posinf=cap, neginf=-cap), -cap, cap) * long(forecast)


def overlapping(positions: Array, horizon: int) -> Array:
    """Positions of overlapping forecasts: 1 / horizon of the account for each of the last ones.

    Every session the oldest part gives way to that of the newest forecast (Jegadeesh and Titman,
    1993). Before there are as many forecasts, those that there are have equal parts.

    Args:
        positions: of each session's forecast alone, (sessions, symbols).
        horizon: for how many sessions a forecast is.
    """
    sums = np.zeros_like(positions)
    for age in range(min(horizon, len(positions))):
        sums[age:] += positions[: len(positions) - age]
    parts = np.minimum(np.arange(1, len(positions) + 1), horizon)
    shares: Array = sums / parts[:, None]
    return shares


def bought(first: Array, returns: Array) -> Array:
    """Positions that are bought once and left alone, (sessions, symbols).

    Args:
        first: shares of the account, (symbols,), all of it.
        returns: of the sessions that they are held over, (sessions, symbols).
    """
    growth = np.cumprod(np.vstack([np.ones_like(first), 1 + returns[:-1]]), axis=0)
    values = first * growth
    shares: Array = values / values.sum(axis=1, keepdims=True)
    return shares


def volatility(returns: Array) -> Array:
    """Yearly volatility of an equal share in each symbol, as known after each session.

    Args:
        returns: (sessions, symbols), NaN where a symbol has no bar.
    """
    counts = np.maximum(np.isfinite(returns).sum(axis=1), 1)
    squares = (np.nansum(returns, axis=1) / counts) ** 2
    known = np.empty_like(squares)
    average = squares[0]
    for session, square in enumerate(squares):
        average = DECAY * average + (1 - DECAY) * square
        known[session] = average
    yearly: Array = np.sqrt(PER_YEAR * known)
    return yearly


def positions(panel: Grid, horizon: int, params: BacktestParams) -> dict[str, Array]:
    """The positions of every strategy, then of every way to hold, by name.

    Args:
        panel: the forecasts.
        horizon: in sessions.
        params: of the backtest.

    Returns:
        Shares of the account at the start of the sessions `panel.traded(params.delay)`. `rank` is
        left out where it never takes a position.
    """
    rows, traded = slice(panel.first, panel.last + 1), panel.traded(params.delay)
    forecast, deviation = panel.forecast[rows], panel.deviation[rows]
    ways = {
        "sign": overlapping(sign(forecast), horizon),
        "rank": overlapping(rank(forecast), horizon),
        "mean_variance": overlapping(mean_variance(forecast, deviation, params.cap), horizon),
    }
    if not ways["rank"].any():
        del ways["rank"]
    equal = long(forecast)
    exposure = params.volatility / np.maximum(volatility(panel.returns)[rows], 1e-12)
    ways["buy_and_hold"] = bought(equal[0], np.nan_to_num(panel.returns[traded]))
    ways["equal_weight"] = equal
    ways["volatility_target"] = np.minimum(exposure, 1)[:, None] * equal
    return {name: each[: len(ways["buy_and_hold"])] for name, each in ways.items()}
