"""What a chart of one symbol shows: closes, the forecasts for each session, what was logged."""

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import polars as pl
from sqlalchemy import Connection, select

from predictions.schema import label_store, prediction_logs
from serve.checkout.bundle import Bundle, Model
from serve.forecasts.forecaster import symbol_index
from stages.forecast.contract import FORECAST_OUTPUTS

MOST = 5_000
"""Sessions of one chart."""

MOST_LOGGED = 1_000
"""Logged predictions of one chart, the newest."""

RETURNS = {"predicted": "forecast", "lower": "lower", "upper": "upper"}
"""What is drawn as a return and as a close: the prefix there, the column of forecasts here."""


@dataclass(frozen=True)
class Span:
    """Which sessions a chart shows.

    Attributes:
        first, until: bounds, both included; None is no bound.
        last: at most so many sessions with a close, the newest.
    """

    first: date | None
    until: date | None
    last: int


def chart(bundle: Bundle, model: Model, symbol: str, span: Span) -> pl.DataFrame:
    """Closes, and the forecast for each session, aligned by date.

    Raises:
        InvalidInputError: the symbol has no model.

    Returns:
        `date`, `close`, `as_of`, `{predicted,lower,upper}_{return,close}`, `probability_of_rise`;
        sessions ahead have no close, those without a forecast nothing else.
    """
    made = forecasts(bundle, model, symbol)
    own = bundle.bars.filter(pl.col("symbol") == symbol).select("date", "close")
    closes = (
        pl.concat([made.select("date", "close"), own])
        .unique("date", keep="last")
        .sort("date")
        .filter(_within(span))
        .tail(span.last)
    )
    first = closes["date"][0] if closes.height else span.first
    aimed = made.drop_nulls("target_date").select(
        date="target_date",
        as_of="date",
        **{f"{name}_return": pl.col(column).cast(pl.Float64) for name, column in RETURNS.items()},
        **{
            f"{name}_close": pl.col("close") * (1 + pl.col(column).cast(pl.Float64))
            for name, column in RETURNS.items()
        },
        probability_of_rise=pl.col("probability").cast(pl.Float64),
    )
    shown = aimed.filter(_within(Span(first, span.until, span.last)))
    return closes.join(shown, on="date", how="full", coalesce=True).sort("date")


def forecasts(bundle: Bundle, model: Model, symbol: str) -> pl.DataFrame:
    """A symbol's forecasts by date: those that evaluate wrote, and those from newer bars.

    Evaluate leaves out bars whose outcome was not known yet, but for the newest; the server keeps
    these, and asks the model.
    """
    columns = ["date", "target_date", "close", "forecast", "lower", "upper", "probability"]
    written = (
        model.forecasts.filter(pl.col("symbol") == symbol)
        .drop_nulls("target_date")
        .select(columns)
        .sort("date")
    )
    rows = bundle.rows[symbol]
    newest = int(written["date"].to_physical()[-1]) if written.height else int(rows.days[0]) - 1
    features, scales = rows.features[model.name], rows.scales[model.name]
    wanted = (rows.days > newest) & np.isfinite(features).all(axis=1) & np.isfinite(scales)
    if not wanted.any():
        return written
    days = rows.days[wanted]
    index = np.full((len(days), 1), symbol_index(model, symbol) or 0, np.int64)
    found = model.session(features[wanted], scales[wanted].reshape(-1, 1), index)
    targets = [bundle.target(int(day), model.card.sessions) for day in days]
    value, lower, upper, probability = (found[name] for name in FORECAST_OUTPUTS)
    newer = pl.DataFrame(
        {
            "date": pl.Series(days).cast(pl.Date),
            "target_date": pl.Series(targets, dtype=pl.Int32).cast(pl.Date),
            "close": rows.closes[wanted],
            "forecast": value,
            "lower": lower,
            "upper": upper,
            "probability": probability,
        }
    )
    return pl.concat([written, newer])


LOGGED = (
    *("id", "created_at", "as_of", "target_date", "last_close", "predicted_return", "lower"),
    *("upper", "probability", "revision", "model_md5", "model_version"),
)


OUTCOMES = ("actual_return", "actual_close")

NOTHING_LOGGED: dict[str, list[Any]] = {name: [] for name in (*LOGGED, *OUTCOMES)}


def logged(
    connection: Connection, symbol: str, horizon: str, first: date, until: date
) -> dict[str, list[Any]]:
    """Logged predictions for sessions of a span, oldest first, by column, with their outcomes."""
    columns = [
        *(prediction_logs.c[name] for name in LOGGED),
        *(label_store.c[name] for name in OUTCOMES),
    ]
    query = (
        select(*columns)
        .select_from(prediction_logs.outerjoin(label_store))
        .where(
            prediction_logs.c.symbol == symbol,
            prediction_logs.c.horizon == horizon,
            prediction_logs.c.target_date.between(first, until),
        )
        .order_by(prediction_logs.c.id.desc())
        .limit(MOST_LOGGED)
    )
    rows = connection.execute(query).all()[::-1]
    names = enumerate([*LOGGED, *OUTCOMES])
    return {name: [row[place] for row in rows] for place, name in names}


def _within(span: Span) -> pl.Expr:
    first, until = span.first or date.min, span.until or date.max
    return pl.col("date").is_between(first, until)
