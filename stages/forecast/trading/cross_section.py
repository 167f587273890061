"""How well a forecast ranks the symbols of a date, where there are many."""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import stdtr

from stages.forecast.scoring.scores import long_run_variance

FEWEST = 20
"""Symbols of a date that counts."""


def by_date(rows: pl.DataFrame) -> pl.DataFrame:
    """Rank IC and spread of every date with `FEWEST` symbols or more.

    Args:
        rows: `symbol, date, forecast, target`, one row per forecast.

    Returns:
        `date, ic, spread`, sorted by date. `ic` is Spearman's correlation of forecast and
        outcome; `spread` the mean outcome of the fifth of the symbols with the highest
        forecasts, less that of the lowest fifth, as a fraction. Dates of equal forecasts or
        outcomes do not count.
    """
    ordered, fifth = pl.col("target").sort_by("forecast", "symbol"), pl.len() // 5
    return (
        rows.group_by("date")
        .agg(
            pl.corr(pl.col("forecast").rank(), pl.col("target").rank()).alias("ic"),
            (ordered.tail(fifth).mean() - ordered.head(fifth).mean()).alias("spread"),
            pl.len().alias("symbols"),
        )
        .filter((pl.col("symbols") >= FEWEST) & pl.col("ic").is_finite())
        .sort("date")
        .select("date", "ic", "spread")
    )


def by_year(dates: pl.DataFrame) -> pl.DataFrame:
    """The mean IC and spread of each year: `year, dates, ic, spread`."""
    return (
        dates.group_by(pl.col("date").dt.year().alias("year"))
        .agg(pl.len().alias("dates"), pl.col("ic", "spread").mean())
        .sort("year")
    )


def summary(dates: pl.DataFrame, horizon: int) -> dict[str, Any]:
    """Mean IC and spread over the dates, each with its t value and one-sided p-value.

    Args:
        dates: as `by_date` returns.
        horizon: in sessions; the outcomes of neighbouring dates overlap (`long_run_variance`).

    Returns:
        `dates`, and `ic, ic_t, ic_p, spread, spread_t, spread_p`, None where there are no more
        dates than sessions in the horizon; `ic_by_year`, the mean IC by year.
    """
    scores: dict[str, Any] = {"dates": dates.height}
    for name in ("ic", "spread"):
        mean, t_value, p_value = _tested(dates[name].to_numpy(), horizon)
        scores |= {name: mean, f"{name}_t": t_value, f"{name}_p": p_value}
    years = by_year(dates)
    scores["ic_by_year"] = dict(zip(years["year"].cast(pl.String), years["ic"], strict=True))
    return scores


def _tested(
    values: npt.NDArray[np.float64], horizon: int
) -> tuple[float | None, float | None, float | None]:
    if len(values) <= max(horizon, 2):
        return None, None, None
    variance, freedom = long_run_variance(values, horizon)
    mean = float(values.mean())
    if variance <= 0:
        return mean, None, None
    t_value = mean / float(np.sqrt(variance / len(values)))
    return mean, t_value, float(stdtr(freedom, -t_value))
