"""An account that holds positions: its returns after costs, its worth, its losses."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from stages.forecast.trading.grid import Array

POINTS = 250
"""A curve has about so many points, however long the hold-out is."""


@dataclass(frozen=True)
class Account:
    """What became of an account, (sessions,) each.

    Attributes:
        returns: after costs.
        turnover: value traded before each session, as a share of the account.
    """

    returns: Array
    turnover: Array

    @property
    def equity(self) -> Array:
        """Its worth after each session, 1 at the start."""
        worth: Array = np.cumprod(1 + self.returns, dtype=np.float64)
        return worth

    @property
    def drawdown(self) -> Array:
        """Its loss since its highest worth, zero or negative."""
        equity = self.equity
        return equity / np.maximum(np.maximum.accumulate(equity), 1) - 1


def trade(positions: Array, returns: Array, rate: float) -> Account:
    """Hold positions over sessions, and trade to the next ones between them.

    Positions drift with the prices, so a constant share is traded too. Cash earns nothing, and a
    short position costs nothing but the trade. The end of the last session sells nothing.

    Args:
        positions: shares of the account at the start of each session, (sessions, symbols).
        returns: of these sessions, (sessions, symbols), NaN where a symbol has no bar.
        rate: what a trade costs, as a share of the value traded.
    """
    moves = np.nan_to_num(returns)
    # An account can lose all that it has, and no more.
    worth = np.maximum(1 + (positions * moves).sum(axis=1), 0)
    drifted = positions * (1 + moves) / np.where(worth > 0, worth, 1)[:, None]
    before = np.vstack([np.zeros_like(positions[:1]), drifted[:-1]])
    turnover = np.abs(positions - before).sum(axis=1)
    return Account(np.maximum(1 - rate * turnover, 0) * worth - 1, turnover)


def curves(accounts: Mapping[str, Account], dates: pl.Series) -> dict[str, pl.DataFrame]:
    """The data of the plots: `date, portfolio, equity` and `date, portfolio, drawdown`.

    Where sessions share a point, it has the worth after the last and the deepest drawdown.

    Args:
        accounts: by the name of their portfolio.
        dates: of the sessions.
    """
    step = -(-len(dates) // POINTS)
    points = pl.concat(
        pl.DataFrame({"date": dates, "equity": each.equity, "drawdown": each.drawdown})
        .group_by(pl.int_range(pl.len()) // step, maintain_order=True)
        .agg(pl.col("date", "equity").last(), pl.col("drawdown").min())
        .select("date", pl.lit(name).alias("portfolio"), "equity", "drawdown")
        for name, each in accounts.items()
    )
    return {name: points.select("date", "portfolio", name) for name in ("equity", "drawdown")}
