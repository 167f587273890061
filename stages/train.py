"""Train one candidate for one horizon: `python -m stages.train <horizon> <model>`.

Reads data/datasets/<horizon>/train.parquet, writes models/candidates/<horizon>/<model>/:
`model.onnx`, trained on every training row; `folds.parquet`, its predictions for rows that it had
not seen; `importance.csv`. The hold-out is never read here.
"""

import numpy as np
import numpy.typing as npt
import polars as pl
from threadpoolctl import threadpool_limits

from stages.common import tables
from stages.common.errors import DataError, few
from stages.common.paths import CANDIDATES, DATASETS
from stages.common.running import arguments, log, progress, run
from stages.common.sections import Horizons, Sections, load
from stages.forecast.contract import Vector
from stages.forecast.session import Session
from stages.forecast.training import graphs, train_params
from stages.forecast.training.arrays import Dataset
from stages.forecast.training.fitted import Fit, Fitted, shares
from stages.forecast.training.folds import Fold, walk_forward
from stages.forecast.training.train_params import Models, TrainParams

MIN_ROWS = 100
"""One model per symbol: a symbol with fewer training rows gets no model in that fold."""

PARITY = 1e-5
"""Largest difference between a native prediction and its graph, in units of return."""

PARITY_ROWS = 20_000

FOLDS_CONTRACT: tables.Contract = {
    "symbol": pl.String,
    "date": pl.Date,
    "target_date": pl.Date,
    "scale": pl.Float32,
    "target": pl.Float64,
    "fold": pl.Int32,
    "prediction": pl.Float32,
}

Rows = npt.NDArray[np.intp]


class Settings(Sections):
    """What train obeys."""

    # Only a message names it, so dvc.yaml does not list it.
    horizons: Horizons
    train: TrainParams
    models: Models


def fit_pooled(fit: Fit, data: Dataset, rows: Rows | slice) -> Fitted:
    """One model from the rows of all symbols; a slice is not copied."""
    return fit(data.x[rows], data.y[rows])


def fit_per_symbol(fit: Fit, data: Dataset, rows: Rows) -> dict[int, Fitted]:
    """One model per symbol that has at least `MIN_ROWS` of the rows."""
    parts = {index: rows[data.symbol[rows] == index] for index in range(len(data.names))}
    return {
        index: fit(data.x[part], data.y[part])
        for index, part in parts.items()
        if len(part) >= MIN_ROWS
    }


def out_of_fold(fit: Fit, data: Dataset, folds: list[Fold], scope: str, label: str) -> pl.DataFrame:
    """Predict each validation span by a model that has seen only what was known before it.

    Returns:
        The columns of `FOLDS_CONTRACT`, sorted by (fold, symbol, date). Rows of a symbol that
        has no model in a fold are left out.
    """
    parts = []
    for fold in progress(folds, label):
        valid = fold.valid
        if scope == "pooled":
            prediction = fit_pooled(fit, data, fold.train).predict(data.x[valid])
        else:
            fitted = fit_per_symbol(fit, data, fold.train)
            valid = valid[np.isin(data.symbol[valid], list(fitted))]
            prediction = _predict_per_symbol(fitted, data, valid)
        parts.append(
            data.rows[valid]
            .select("symbol", "date", "target_date", "scale", "target")
            .with_columns(
                fold=pl.lit(fold.number, pl.Int32),
                prediction=pl.Series(np.asarray(prediction, dtype=np.float32)),
            )
        )
    return pl.concat(parts).select(list(FOLDS_CONTRACT))


def _predict_per_symbol(fitted: dict[int, Fitted], data: Dataset, rows: Rows) -> Vector:
    """Predict each row by its symbol's model, which there must be."""
    prediction = np.empty(len(rows))
    for index, model in fitted.items():
        own = data.symbol[rows] == index
        if own.any():
            prediction[own] = model.predict(data.x[rows[own]])
    return prediction


def check_parity(native: Vector, graph: Vector, name: str) -> None:
    """A graph that does not predict what its model predicts must not leave the stage.

    Raises:
        DataError: some prediction differs by more than `PARITY`.
    """
    apart = np.abs(native - graph)
    if not (apart <= PARITY).all():
        raise DataError(
            f"models.{name}: {int((~(apart <= PARITY)).sum())} of {len(native)} predictions of the "
            f"ONNX graph differ from the model's by up to {np.nanmax(apart):.2g}; this is a fault "
            "of the conversion: report it, or take the model out of params.yaml"
        )


def _check_rows(data: Dataset) -> None:
    counts = np.bincount(data.symbol, minlength=len(data.names))
    short = [name for name, count in zip(data.names, counts, strict=True) if count < MIN_ROWS]
    if short:
        raise DataError(
            f"train.scope per_symbol: {few(short)}: fewer than {MIN_ROWS} training rows; take "
            "them out of data.symbols or set train.scope to pooled"
        )


def main() -> None:
    """Train, check and write one candidate."""
    settings = load(Settings)
    horizon, name = arguments("horizon", "model")
    scope = settings.train.scope
    data = Dataset(DATASETS / horizon / "train.parquet")
    fit = train_params.fit_of(settings.models, name, data.features, settings.train.seed)
    folds = list(
        walk_forward(
            data.dates,
            data.target_dates,
            settings.train.folds,
            settings.train.first_fold,
            settings.train.embargo,
        )
    )
    if not folds:
        raise DataError(
            f"horizons.{horizon}: no walk-forward fold has a training row after the purge of "
            f"{settings.horizons[horizon]} sessions; shorten the horizon, raise train.first_fold "
            "or bring more history"
        )

    if scope == "per_symbol":
        _check_rows(data)
    every = np.arange(len(data.y))
    sample = every[:: max(1, len(every) // PARITY_ROWS)]
    # One thread for BLAS, whose sums depend on it; a model with threads of its own has n_jobs.
    with threadpool_limits(limits=1):
        predictions = out_of_fold(fit, data, folds, scope, f"{name}@{horizon}")
        if predictions.is_empty():
            raise DataError(
                f"train.scope per_symbol: in no fold has a symbol {MIN_ROWS} training rows; raise "
                "train.first_fold, bring more history or set train.scope to pooled"
            )
        if scope == "pooled":
            final = fit_pooled(fit, data, slice(None))
            graph, importance = final.to_onnx(), final.importance
            native = final.predict(data.x[sample])
        else:
            fitted = fit_per_symbol(fit, data, every)
            graph = graphs.by_symbol([fitted[i].to_onnx() for i in sorted(fitted)])
            importance = shares(np.sum([fitted[i].importance for i in sorted(fitted)], axis=0))
            native = _predict_per_symbol(fitted, data, sample)
        session = Session(graph)
        served = session(data.x[sample], symbol=data.symbol[sample].reshape(-1, 1))["return"]
        check_parity(np.asarray(native, dtype=np.float64), served.astype(np.float64), name)

    with tables.replacing(CANDIDATES / horizon / name) as folder:
        folder.mkdir(parents=True)
        graphs.save(graph, folder / "model.onnx")
        tables.write(predictions, folder / "folds.parquet")
        pl.DataFrame(
            {"feature": data.features, "importance": importance},
        ).with_columns(pl.col("importance").round(6)).write_csv(folder / "importance.csv")
    error = (predictions["prediction"] - predictions["target"]).pow(2).mean()
    log.info(
        "train %s %s: %s rows, %s features, %s purged folds, fold RMSE %.6f -> %s",
        horizon,
        name,
        f"{len(data.y):,}",
        data.x.shape[1],
        len(folds),
        float(error) ** 0.5,  # type: ignore[arg-type]
        CANDIDATES / horizon / name,
    )


if __name__ == "__main__":
    run(main)
