"""What the candidates of a horizon predicted on their folds, side by side."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import polars as pl

from stages.common import tables
from stages.common.paths import CANDIDATES
from stages.forecast import baselines
from stages.forecast.contract import Vector
from stages.forecast.evaluation import combine
from stages.forecast.evaluation.scale import Errors, Rows, logarithms
from stages.forecast.training.folds import walk_forward
from stages.forecast.training.train_params import TrainParams

KEYS = ["symbol", "date"]


@dataclass(frozen=True)
class Candidates:
    """What training left of every model of a horizon.

    Attributes:
        graphs: ONNX graphs by name, in the order of params.yaml.
        folds: out-of-fold rows of all models: `symbol, date, target_date, fold, target` and one
            column of predictions per model.
        importance: `feature` and one column per model.
    """

    graphs: Mapping[str, onnx.ModelProto]
    folds: pl.DataFrame
    importance: pl.DataFrame


def load_candidates(horizon: str, names: Sequence[str]) -> Candidates:
    """Read the candidates, and the fold rows that all of them predicted."""
    folders = {name: CANDIDATES / horizon / name for name in names}
    first, *others = names
    folds = tables.read(folders[first] / "folds.parquet").rename({"prediction": first})
    importance = _importance(folders[first], first)
    for name in others:
        own = tables.read(folders[name] / "folds.parquet", [*KEYS, "prediction"])
        own = own.rename({"prediction": name})
        folds = folds.join(own, on=KEYS, how="inner", maintain_order="left")
        importance = importance.join(
            _importance(folders[name], name), on="feature", maintain_order="left"
        )
    loaded = {name: onnx.load(folder / "model.onnx") for name, folder in folders.items()}
    return Candidates(loaded, folds, importance)


def _importance(folder: Path, name: str) -> pl.DataFrame:
    return pl.read_csv(folder / "importance.csv").rename({"importance": name})


def with_baselines(predicted: pl.DataFrame, rows: pl.DataFrame, train: TrainParams) -> pl.DataFrame:
    """Add the columns `zero` and `mean` to the fold rows.

    Args:
        predicted: the fold rows of the candidates.
        rows: the training rows, in the order in which training saw them.
        train: how the folds were cut.
    """
    folds = walk_forward(
        rows["date"].to_physical().to_numpy(),
        rows["target_date"].to_physical().to_numpy(),
        train.folds,
        train.first_fold,
        train.embargo,
    )
    known = baselines.in_folds(rows, list(folds), train.scope)
    return predicted.join(known, on=["fold", "symbol"], how="left", maintain_order="left")


def fold_predictions(folds: pl.DataFrame, names: list[str]) -> combine.FoldPredictions:
    """The fold rows as arrays."""
    return combine.FoldPredictions(
        names=names,
        values=folds.select(names).to_numpy().astype(np.float64),
        mean=folds["mean"].to_numpy().astype(np.float64),
        target=folds["target"].to_numpy(),
        fold=folds["fold"].to_numpy(),
        dates=folds["date"].to_physical().to_numpy(),
        target_dates=folds["target_date"].to_physical().to_numpy(),
    )


def fold_logs(folds: pl.DataFrame, train: Path, names: Sequence[str]) -> Vector:
    """Logarithms of the scale's columns in the fold rows, (rows, columns).

    Args:
        folds: the fold rows, `symbol` and `date`.
        train: the file of the training rows.
        names: of the columns.
    """
    known = tables.read(train, [*KEYS, *names])
    rows = folds.select(KEYS).join(known, on=KEYS, how="left", maintain_order="left")
    # Without columns, polars makes an array without rows.
    return logarithms(rows.select(names).to_numpy().reshape(rows.height, len(names)))


def errors_of(rows: pl.DataFrame, model: str, logs: Vector, names: Sequence[str]) -> Errors:
    """A model's errors on rows that it had not seen.

    Args:
        rows: `date, target_date, fold, target`, and a column of the model's predictions.
        model: its column.
        logs: logarithms of the scale's columns, (rows, columns).
        names: of these columns.
    """
    return Errors(
        names=names,
        logs=logs,
        error=rows["target"].to_numpy() - rows[model].cast(pl.Float64).to_numpy(),
        fold=rows["fold"].to_numpy(),
        dates=rows["date"].to_physical().to_numpy(),
        target_dates=rows["target_date"].to_physical().to_numpy(),
    )


def fold_intervals(
    rows: pl.DataFrame, model: str, reach: Iterable[tuple[Rows, Vector, Vector]]
) -> pl.DataFrame:
    """A model's forecasts on folds, each with an interval that only earlier folds have taught.

    Args:
        rows: the fold rows with a column of the model's predictions.
        model: its column.
        reach: rows, and how far their intervals reach below and above (`scale.unseen`).

    Returns:
        `symbol, date, target, forecast, lower, upper`.
    """
    below, above = (np.full(rows.height, np.nan) for _ in range(2))
    for which, lower, upper in reach:
        below[which], above[which] = lower, upper
    forecast = rows[model].cast(pl.Float64)
    return (
        rows.select("symbol", "date", "target")
        .with_columns(
            forecast=forecast,
            lower=forecast + pl.Series(below),
            upper=forecast + pl.Series(above),
        )
        .filter(pl.col("lower").is_not_nan())
    )
