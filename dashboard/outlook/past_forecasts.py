"""Forecasts whose outcome is known: how often it lay within the interval. A count, not a score."""

from typing import Final

import polars as pl

from dashboard.outlook.symbol_chart import SymbolChart

COLUMNS: Final = (
    *("as_of", "target_date", "predicted_return", "lower_return", "upper_return"),
    *("probability_of_rise", "actual_return"),
)


def of_hold_out(chart: SymbolChart) -> pl.DataFrame:
    """The forecasts of the hold-out whose outcome is known: `COLUMNS`, by target."""
    known = chart.table.drop_nulls(["predicted_return", "actual_return"])
    return known.rename({"date": "target_date"}).select(COLUMNS)


def judged(history: pl.DataFrame, window: int) -> pl.DataFrame:
    """Each forecast, whether its interval held the outcome, and how often so far.

    Args:
        history: of `COLUMNS`, perhaps more, in the order of the targets.
        window: forecasts that a share is taken over.

    Returns:
        The same with `within` (both bounds belong to the interval) and `coverage`: the share of the
        last `window` forecasts whose outcome was within; null until there are so many.
    """
    within = pl.col("actual_return").is_between("lower_return", "upper_return")
    return history.with_columns(within=within).with_columns(
        coverage=pl.col("within").cast(pl.Float64).rolling_mean(window)
    )
