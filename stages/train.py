"""Train one candidate for one horizon: `python -m stages.train <horizon> <model>`.

Reads data/datasets/<horizon>/train.parquet, writes models/candidates/<horizon>/<model>/:
`model.onnx`, trained on every training row; `folds.parquet`, its predictions for rows that it had
not seen; `importance.csv`. The hold-out is never read here.
"""

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from stages.common import tables
from stages.common.errors import DataError, few
from stages.common.paths import CANDIDATES, DATASETS
from stages.common.running import arguments, log, progress, run
from stages.common.sections import Horizons, Sections, load
from stages.forecast.dataset_params import DatasetParams, chosen
from stages.forecast.training import graphs, train_params
from stages.forecast.training.arrays import Dataset
from stages.forecast.training.fitted import Fit
from stages.forecast.training.fitting import (
    MIN_ROWS,
    fit_graph,
    fit_per_symbol,
    predict_per_symbol,
)
from stages.forecast.training.folds import Fold, walk_forward
from stages.forecast.training.train_params import Models, TrainParams

FOLDS_CONTRACT: tables.Contract = {
    "symbol": pl.String,
    "date": pl.Date,
    "target_date": pl.Date,
    "target": pl.Float64,
    "fold": pl.Int32,
    "prediction": pl.Float32,
}


class Settings(Sections):
    """What train obeys."""

    # Only a message names it, so dvc.yaml does not list it.
    horizons: Horizons
    dataset: DatasetParams
    train: TrainParams
    models: Models


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
            fitted = fit(data.x[fold.train], data.y[fold.train])
            prediction = fitted.predict(data.x[valid])
        else:
            by_symbol = fit_per_symbol(fit, data, fold.train)
            valid = valid[np.isin(data.symbol[valid], list(by_symbol))]
            prediction = predict_per_symbol(by_symbol, data, valid)
        parts.append(
            data.rows[valid]
            .select("symbol", "date", "target_date", "target")
            .with_columns(
                fold=pl.lit(fold.number, pl.Int32),
                prediction=pl.Series(np.asarray(prediction, dtype=np.float32)),
            )
        )
    return pl.concat(parts).select(list(FOLDS_CONTRACT))


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
    features = chosen(settings.dataset.features, data.features)
    fit = train_params.fit_of(settings.models, name, features, data.features, settings.train.seed)
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
    # One thread for BLAS, whose sums depend on it; a model with threads of its own has n_jobs.
    with threadpool_limits(limits=1):
        predictions = out_of_fold(fit, data, folds, scope, f"{name}@{horizon}")
        if predictions.is_empty():
            raise DataError(
                f"train.scope per_symbol: in no fold has a symbol {MIN_ROWS} training rows; raise "
                "train.first_fold, bring more history or set train.scope to pooled"
            )
        graph, importance = fit_graph(fit, data, scope, name)

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
