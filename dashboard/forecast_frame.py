"""Forecasts as the server answers them, as rows of a frame."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

SCHEMA = {
    "symbol": pl.String,
    "horizon": pl.String,
    "sessions": pl.Int64,
    "as_of": pl.String,
    "target_date": pl.String,
    "last_close": pl.Float64,
    "predicted_return": pl.Float64,
    "lower_return": pl.Float64,
    "upper_return": pl.Float64,
    "predicted_close": pl.Float64,
    "lower_close": pl.Float64,
    "upper_close": pl.Float64,
    "level": pl.Float64,
    "probability_of_rise": pl.Float64,
    "stale": pl.Boolean,
    "in_sample": pl.Boolean,
    "revision": pl.String,
    "version": pl.String,
    "id": pl.String,
    "created_at": pl.String,
}
"""Columns of `table`: returns are fractions, dates ISO 8601."""


def table(answers: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Forecasts as rows of `SCHEMA`; what an answer does not have is null."""
    flat = [{**each, **each["interval"], **each["model"]} for each in answers]
    rows = [{name: row.get(name) for name in SCHEMA} for row in flat]
    return pl.DataFrame(rows, schema=SCHEMA)
