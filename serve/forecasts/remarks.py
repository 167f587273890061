"""What a caller should know of a forecast from a bar of the revision."""

from typing import Any

import polars as pl

from serve.checkout.bundle import Bundle, Model
from serve.forecasts.forecaster import Row
from serve.forecasts.prediction import day


def remarks(bundle: Bundle, model: Model, row: Row) -> dict[str, Any]:
    """The fields of `answer_schemas.HorizonPrediction` beside those of `Prediction`.

    The served model was trained on every bar whose outcome was known, so its answer for such a bar
    is in sample. The forecast that evaluate wrote comes from a fit that had not seen the bar.
    """
    bar = row.bar
    in_sample = bar is not None and day(bar) <= model.card.training.last
    return {
        "stale": row.symbol in bundle.stale,
        "in_sample": in_sample,
        "out_of_sample": _unseen(model, row) if in_sample else None,
    }


def _unseen(model: Model, row: Row) -> dict[str, float] | None:
    """What evaluate forecast from a bar of the hold-out; None before the hold-out."""
    is_row = (pl.col("symbol") == row.symbol) & (pl.col("date").to_physical() == row.bar)
    forecasts = model.forecasts.filter(is_row, pl.col("target").is_not_null())
    if forecasts.is_empty():
        return None
    values = forecasts.row(0, named=True)
    return {
        "predicted_return": values["forecast"],
        "lower_return": values["lower"],
        "upper_return": values["upper"],
        "probability_of_rise": values["probability"],
    }
