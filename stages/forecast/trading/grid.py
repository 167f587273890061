"""Forecasts and returns of a panel as arrays: a row per session, a column per symbol."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import ndtri

Array = npt.NDArray[np.float64]

WARM_UP = 252
"""Sessions before the first forecast, from which its volatility is known."""


@dataclass(frozen=True)
class Grid:
    """A panel of forecasts, and what the prices did.

    Attributes:
        dates: every session with a bar, from `WARM_UP` sessions before the first forecast on.
        first, last: rows of the first and of the last session with a forecast.
        forecast: of the return over the horizon, (sessions, symbols), NaN where there is none.
        deviation: the standard deviation of that return, from the width of its interval.
        returns: of each session, dividends and splits included; NaN where a symbol has no bar.
    """

    dates: pl.Series
    first: int
    last: int
    forecast: Array
    deviation: Array
    returns: Array

    def traded(self, delay: int) -> slice:
        """The sessions over which positions are held, one for each session with a forecast.

        A position is taken `delay` sessions after its forecast, at the close, and held from the
        next session on. The last forecasts have no such session where the bars end.
        """
        return slice(self.first + delay + 1, min(self.last + delay + 2, len(self.dates)))


def grid(forecasts: pl.DataFrame, bars: pl.DataFrame, level: float) -> Grid:
    """Arrange the forecasts of a hold-out and the returns of their symbols.

    Args:
        forecasts: `symbol, date, forecast, lower, upper`, at least one row.
        bars: `symbol, date, adj_close`, sorted by (symbol, date).
        level: share of outcomes that an interval is to hold.
    """
    symbols = forecasts["symbol"].unique().sort()
    returns = (pl.col("adj_close") / pl.col("adj_close").shift(1)).over("symbol") - 1
    bars = bars.filter(pl.col("symbol").is_in(symbols.to_list())).with_columns(returns=returns)
    days = bars["date"].unique().sort()
    forecast_days = days.search_sorted(forecasts["date"].unique().sort())
    first, last = int(forecast_days[0]), int(forecast_days[-1])
    start = max(0, first - WARM_UP)
    dates = days[start:]
    bars = bars.filter(pl.col("date") >= dates[0])
    width = pl.col("upper").cast(pl.Float64) - pl.col("lower").cast(pl.Float64)
    forecasts = forecasts.with_columns(deviation=width / (2 * float(ndtri((1 + level) / 2))))

    def arranged(rows: pl.DataFrame, column: str) -> Array:
        values = np.full((len(dates), len(symbols)), np.nan)
        column_of = rows["symbol"].replace_strict(
            symbols, range(len(symbols)), return_dtype=pl.Int64
        )
        row_of = dates.search_sorted(rows["date"])
        values[row_of.to_numpy(), column_of.to_numpy()] = rows[column].cast(pl.Float64).to_numpy()
        return values

    return Grid(
        dates,
        first - start,
        last - start,
        arranged(forecasts, "forecast"),
        arranged(forecasts, "deviation"),
        arranged(bars, "returns"),
    )
