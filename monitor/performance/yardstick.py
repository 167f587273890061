"""The simple forecast that a live model is measured by: the historical mean and an EWMA.

It is `mean_ewma` of the tables of the pipeline (RiskMetrics, 1996), made from the bars alone. A
turbulent market costs it as much as it costs a model, so a loss against it is the model's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from monitor.settings import MonitorError
from stages.forecast.scoring.distribution import with_losses
from stages.forecast.scoring.spread import Spread, spread

DECAY = 0.94
"""Of the average of squared returns, a session."""

SMALLEST = 1e-8


@dataclass(frozen=True)
class Span:
    """The rows that a forecast was trained on: its symbols, first and last session."""

    symbols: Sequence[str]
    first: date
    last: date
    per_symbol: bool = False


def prepared(bars: pl.DataFrame, sessions: int) -> pl.DataFrame:
    """What the yardstick needs of the bars.

    Args:
        bars: `symbol, date, adj_close`, sorted.
        sessions: of the horizon.

    Returns:
        `symbol, date, target, target_date, scale`: the return of the next sessions (null where it
        is not known), and what was known of its spread; without the first bar of a symbol.
    """
    close = pl.col("adj_close")
    squared = (close / close.shift(1) - 1) ** 2
    return bars.select(
        "symbol",
        "date",
        target=(close.shift(-sessions) / close - 1).over("symbol"),
        target_date=pl.col("date").shift(-sessions).over("symbol"),
        scale=(squared.ewm_mean(alpha=1 - DECAY, ignore_nulls=True).sqrt() * np.sqrt(sessions))
        .over("symbol")
        .clip(lower_bound=SMALLEST),
    ).drop_nulls("scale")


def fitted(rows: pl.DataFrame, span: Span, level: float) -> tuple[pl.DataFrame, Spread]:
    """The yardstick as it was known after a span of training.

    Args:
        rows: as `prepared` gives them.
        span: what it may learn from.
        level: of its interval.

    Returns:
        `symbol, mean`, and the distribution of the errors divided by their scale.

    Raises:
        MonitorError: the span has fewer than 30 bars.
    """
    known = rows.drop_nulls("target").filter(
        pl.col("symbol").is_in(list(span.symbols)), pl.col("date").is_between(span.first, span.last)
    )
    if known.height < 30:  # noqa: PLR2004  # too few for a distribution
        raise MonitorError(
            f"the bars have {known.height} of the rows from {span.first} to {span.last} that the "
            "model was trained on; `dvc checkout` brings its data back"
        )
    mean = pl.col("target").mean()
    known = known.with_columns(mean=mean.over("symbol") if span.per_symbol else mean)
    means = known.group_by("symbol").agg(pl.col("mean").first()).sort("symbol")
    scaled = known.select((pl.col("target") - pl.col("mean")) / pl.col("scale")).to_series()
    return means, spread(scaled.to_numpy(), level)


def forecasts(
    rows: pl.DataFrame, means: pl.DataFrame, distribution: Spread, level: float
) -> pl.DataFrame:
    """The yardstick's own forecasts of rows, with their losses.

    Args:
        rows: `symbol, date, target, scale`, the scale as `prepared` gives it.
        means: `symbol, mean`.
        distribution: as `fitted` gives it.
        level: of the interval.

    Returns:
        The rows with `forecast`, `lower`, `upper`, `probability`, `mean` and the losses of
        `distribution.LOSSES`; without rows of symbols that have no mean.
    """
    levels = np.linspace(0, 1, len(distribution.grid))
    joined = rows.join(means, on="symbol", maintain_order="left").with_columns(
        forecast="mean",
        lower=pl.col("mean") + distribution.lower * pl.col("scale"),
        upper=pl.col("mean") + distribution.upper * pl.col("scale"),
    )
    below = np.interp(-(joined["mean"] / joined["scale"]).to_numpy(), distribution.grid, levels)
    return with_losses(joined.with_columns(probability=pl.Series(1 - below)), distribution, level)
