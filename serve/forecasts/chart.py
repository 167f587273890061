"""The chart of one symbol: its bars, and the forecast for each session with what came of it."""

from datetime import date

import numpy as np
import polars as pl

from serve.checkout.bundle import Bundle, Model
from serve.forecasts.forecaster import symbol_index
from stages.forecast.contract import FORECAST_OUTPUTS

MOST = 5_000
"""Sessions of one chart."""

BAR = ("open", "high", "low", "adj_close", "volume")
"""What a chart has of the bars that the bundle keeps, beside their closes."""

RETURNS = {"predicted": "forecast", "lower": "lower", "upper": "upper"}
"""The values that a chart has both as returns and as closes: their prefix, and their column."""


def chart(  # noqa: PLR0913  # each narrows the chart
    bundle: Bundle,
    model: Model,
    symbol: str,
    *,
    first: date | None,
    until: date | None,
    last: int,
) -> pl.DataFrame:
    """Bars, and the forecast for each session, aligned by date.

    Args:
        first, until: sessions to show, both included; None is no bound.
        last: at most so many sessions with a close, the newest.

    Raises:
        InvalidInputError: the symbol has no model.

    Returns:
        `date`, `close`, those of `BAR`, `as_of`, `{predicted,lower,upper}_{return,close}`,
        `probability_of_rise`, `actual_return`. Sessions ahead have no bar, those before the kept
        bars a close alone, and sessions without a forecast a bar alone.
    """
    table = forecasts(bundle, model, symbol)
    bars = bundle.bars.filter(pl.col("symbol") == symbol).select("date", "close", *BAR)
    until = until or date.max
    closes = (
        pl.concat([table.select("date", "close"), bars], how="diagonal")
        .unique("date", keep="last")
        .sort("date")
        .filter(pl.col("date").is_between(first or date.min, until))
        .tail(last)
    )
    oldest = closes["date"][0] if closes.height else first or date.min
    returns = {name: pl.col(column).cast(pl.Float64) for name, column in RETURNS.items()}
    aimed = table.filter(pl.col("target_date").is_between(oldest, until)).select(
        date="target_date",
        as_of="date",
        **{f"{name}_return": value for name, value in returns.items()},
        **{f"{name}_close": pl.col("close") * (1 + value) for name, value in returns.items()},
        probability_of_rise=pl.col("probability").cast(pl.Float64),
        actual_return=pl.col("target").cast(pl.Float64),
    )
    return closes.join(aimed, on="date", how="full", coalesce=True).sort("date")


def forecasts(bundle: Bundle, model: Model, symbol: str) -> pl.DataFrame:
    """A symbol's forecasts by date: those that evaluate wrote, then those from newer bars.

    Evaluate leaves out bars whose outcome was not known yet, except the newest. The server keeps
    these bars, and runs the model on them. `target` is the return that came, null while it is not
    known.
    """
    columns = ["date", "target_date", "close", "forecast", "lower", "upper", "probability"]
    written = (
        model.forecasts.filter(pl.col("symbol") == symbol)
        .drop_nulls("target_date")
        .select(*columns, "target")
        .sort("date")
    )
    rows = bundle.rows[symbol]
    newest = int(written["date"].to_physical()[-1]) if written.height else int(rows.days[0]) - 1
    features = rows.features[model.name]
    newer = (rows.days > newest) & np.isfinite(features).all(axis=1)
    if not newer.any():
        return written
    days = rows.days[newer]
    index = np.full((len(days), 1), symbol_index(model, symbol) or 0, np.int64)
    outputs = model.session(features[newer], index)
    targets = [bundle.target(int(day), model.card.sessions) for day in days]
    values = [
        pl.Series(days).cast(pl.Date),
        pl.Series(targets, dtype=pl.Int32).cast(pl.Date),
        rows.closes[newer],
        *(outputs[name] for name in FORECAST_OUTPUTS[:4]),
    ]
    newer_rows = pl.DataFrame(dict(zip(columns, values, strict=True)))
    return pl.concat([written, newer_rows], how="diagonal")
