"""Train one candidate for one horizon: `python -m stages.train <horizon> <model>`.

Reads data/datasets/<horizon>/train.parquet, writes models/candidates/<horizon>/<model>/:
`model.onnx`, trained on every training row; `folds.parquet`, its predictions for rows that it had
not seen; `importance.csv`. The hold-out is never read here.
"""

import sys
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import polars as pl
from threadpoolctl import threadpool_limits

from stages import graphs, params, tables
from stages.errors import DataError
from stages.folds import Fold, walk_forward
from stages.models import Fitted, Matrix, Vector
from stages.paths import CANDIDATES, DATASETS
from stages.run import log, progress, run

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

Fit = Callable[[Matrix, Vector], Fitted]
Symbols = npt.NDArray[np.int64]


class Dataset:
    """A dataset as arrays, its features in the order of the file.

    Attributes:
        x, y, scale: features (rows, features), targets (rows,), volatility (rows,).
        symbol: index of each row's symbol in `names`, (rows,).
    """

    def __init__(self, rows: pl.DataFrame, names: list[str] | None = None) -> None:
        self.rows = rows
        self.names = names or rows["symbol"].unique().sort().to_list()
        self.features = rows.columns[len(tables.dataset_contract([])) :]
        self.x: Matrix = rows.select(self.features).to_numpy(order="c")
        self.y: Vector = rows["target"].to_numpy()
        self.scale: Matrix = rows["scale"].to_numpy()
        self.symbol: Symbols = (
            rows["symbol"]
            .replace_strict(self.names, range(len(self.names)), default=-1, return_dtype=pl.Int64)
            .to_numpy()
        )
        self.dates = rows["date"].to_physical().to_numpy()
        self.target_dates = rows["target_date"].to_physical().to_numpy()


def fit_pooled(fit: Fit, data: Dataset, rows: npt.NDArray[np.intp]) -> Fitted:
    """One model from the rows of all symbols."""
    return fit(data.x[rows], data.y[rows])


def fit_per_symbol(fit: Fit, data: Dataset, rows: npt.NDArray[np.intp]) -> dict[int, Fitted]:
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
            prediction = np.empty(len(valid))
            for index, model in fitted.items():
                own = data.symbol[valid] == index
                if own.any():
                    prediction[own] = model.predict(data.x[valid[own]])
        parts.append(
            data.rows[valid]
            .select("symbol", "date", "target_date", "scale", "target")
            .with_columns(
                fold=pl.lit(fold.number, pl.Int32),
                prediction=pl.Series(np.asarray(prediction, dtype=np.float32)),
            )
        )
    return pl.concat(parts).select(list(FOLDS_CONTRACT))


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


def main() -> None:
    """Train, check and write one candidate."""
    settings = params.load()
    horizon, name = sys.argv[1:]
    function, options = settings.model(name)
    seed, scope = settings.train.seed, settings.train.scope
    rows = tables.read(DATASETS / horizon / "train.parquet")
    data = Dataset(rows)
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

    def fit(x: Matrix, y: Vector) -> Fitted:
        return function(x, y, seed, **options)

    every = np.arange(len(data.y))
    sample = every[:: max(1, len(every) // PARITY_ROWS)]
    with threadpool_limits(limits=1):
        predictions = out_of_fold(fit, data, folds, scope, f"{name}@{horizon}")
        if scope == "pooled":
            final = fit_pooled(fit, data, every)
            graph, importance = final.to_onnx(), final.importance
            native = final.predict(data.x[sample])
        else:
            fitted = fit_per_symbol(fit, data, every)
            absent = [data.names[i] for i in range(len(data.names)) if i not in fitted]
            if absent:
                raise DataError(
                    f"train.scope per_symbol: {', '.join(absent)}: fewer than {MIN_ROWS} training "
                    "rows; take them out of data.symbols or set train.scope to pooled"
                )
            graph = graphs.by_symbol([fitted[i].to_onnx() for i in sorted(fitted)])
            importance = np.mean([fitted[i].importance for i in sorted(fitted)], axis=0)
            native = np.empty(len(sample))
            for index, model in fitted.items():
                own = data.symbol[sample] == index
                if own.any():
                    native[own] = model.predict(data.x[sample[own]])
        session = graphs.Session(graph)
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
