"""What every forecast must beat: no change, and the historical mean (Welch and Goyal, 2008).

They are rows of every table and never candidates for a weight; what the combination leaves of 1
goes to the mean. They are computed from the training rows and folds, so they need no training
stage.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from onnx import ModelProto

from stages.forecast.training import graphs
from stages.forecast.training.folds import Fold


def in_folds(rows: pl.DataFrame, folds: Sequence[Fold], scope: str) -> pl.DataFrame:
    """The baselines of each fold, as they were known when it began.

    Args:
        rows: the training rows, with `symbol` and `target`.
        folds: row numbers of each fold.
        scope: `pooled`, one mean for all symbols, or `per_symbol`.

    Returns:
        `fold, symbol, zero, mean`, a row for each fold and symbol, float32 as candidates are.
    """
    parts = [
        means(rows[fold.train], rows["symbol"].unique().sort(), scope).with_columns(
            pl.lit(fold.number, pl.Int32).alias("fold"), pl.lit(0.0, pl.Float32).alias("zero")
        )
        for fold in folds
    ]
    return pl.concat(parts).select("fold", "symbol", "zero", "mean")


def means(rows: pl.DataFrame, symbols: pl.Series, scope: str) -> pl.DataFrame:
    """The mean target by symbol, `symbol, mean`; null for a symbol without rows.

    Pooled, every symbol has the mean of all rows.
    """
    names = pl.DataFrame({"symbol": symbols})
    if scope == "pooled":
        return names.with_columns(mean=pl.lit(_mean(rows), pl.Float32))
    own = [
        (symbol, _mean(part)) for (symbol,), part in rows.group_by("symbol", maintain_order=True)
    ]
    known = pl.DataFrame(own, schema={"symbol": pl.String, "mean": pl.Float32}, orient="row")
    return names.join(known, on="symbol", how="left", maintain_order="left")


def as_graphs(
    rows: pl.DataFrame, symbols: Sequence[str], features: int, scope: str
) -> dict[str, ModelProto]:
    """The baselines as graphs that take what the candidates take, by name.

    Args:
        rows: all training rows, with `symbol` and `target`.
        symbols: in the order in which a graph of one model per symbol counts them.
        features: how many there are.
        scope: `pooled` or `per_symbol`.
    """
    level = means(rows, pl.Series(symbols), scope)["mean"].to_list()
    if scope == "pooled":
        return {"zero": _constant(0.0, features), "mean": _constant(level[0], features)}
    return {
        "zero": graphs.by_symbol([_constant(0.0, features) for _ in level]),
        "mean": graphs.by_symbol([_constant(value, features) for value in level]),
    }


def _mean(rows: pl.DataFrame) -> float:
    return float(rows["target"].to_numpy().mean())


def _constant(value: float, features: int) -> ModelProto:
    return graphs.linear(np.zeros(features), value)
