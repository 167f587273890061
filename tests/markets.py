"""Made-up prices of a market, and forecasts of them: what a backtest reads."""

from datetime import date, timedelta

import numpy as np
import polars as pl

FIRST = date(2010, 1, 1)


def market(
    seed: int,
    symbols: int = 4,
    sessions: int = 400,
    held_out: int = 120,
    horizon: int = 1,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Forecasts of the hold-out and bars, as evaluate and clean leave them.

    Symbols move together, with fat tails, calm and wild months. Forecasts are noise that lasts for
    some sessions; where the target is not known yet there is none.

    Returns:
        `symbol, date, target_date, target, forecast, lower, upper` and `symbol, date, adj_close`.
    """
    rng = np.random.default_rng(seed)
    scale = np.repeat(rng.choice([0.006, 0.018], -(-sessions // 21)), 21)[:sessions, None]
    common = rng.standard_t(4, (sessions, 1))
    moves = 0.0004 + scale * (0.6 * common + 0.8 * rng.standard_t(4, (sessions, symbols))) / 2**0.5
    closes = 100 * np.cumprod(1 + np.clip(moves, -0.3, 0.3), axis=0)
    noise = rng.normal(0, 0.001, (sessions + 20, symbols))
    lasting = np.sum([noise[lag : lag + sessions] for lag in range(20)], axis=0) / 20**0.5
    days = [FIRST + timedelta(days=i) for i in range(sessions)]
    bars, forecasts = [], []
    for column in range(symbols):
        name = f"S{column:03}"
        own = pl.DataFrame(
            {
                "symbol": name,
                "date": days,
                "adj_close": closes[:, column],
                "forecast": (0.0004 + lasting[:, column]) * horizon,
                "width": 1.645 * scale[:, 0] * horizon**0.5,
            }
        )
        ahead = pl.col("adj_close").shift(-horizon)
        bars.append(own.select("symbol", "date", "adj_close"))
        forecasts.append(
            own.select(
                "symbol",
                "date",
                pl.col("date").shift(-horizon).alias("target_date"),
                (ahead / pl.col("adj_close") - 1).alias("target"),
                pl.col("forecast").cast(pl.Float32),
                (pl.col("forecast") - pl.col("width")).cast(pl.Float32).alias("lower"),
                (pl.col("forecast") + pl.col("width")).cast(pl.Float32).alias("upper"),
            )[-held_out:].drop_nulls("target")
        )
    return pl.concat(forecasts), pl.concat(bars)
