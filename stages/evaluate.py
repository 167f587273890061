"""Combine the candidates of one horizon, and report once on the hold-out.

Reads the datasets and candidates of the horizon; writes models/<horizon>/ (`model.onnx`, the whole
forecast as one graph; `card.json`, what it is and how it was made; `forecasts.parquet`, its
forecasts for every held-out and newest bar) and metrics/<horizon>.json beside metrics/<horizon>/
(the table of all models, the newest forecasts, the data of the plots). Everything is chosen on
folds; the hold-out is read after the choice is made.
"""

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
from threadpoolctl import threadpool_limits

from stages import combine, graphs, params, plots, tables
from stages.calibrate import spread
from stages.errors import InputError, few
from stages.params import Params
from stages.paths import CANDIDATES, DATASETS, METRICS, MODELS, SESSIONS
from stages.run import log, progress, run
from stages.scores import COLUMNS, table
from stages.train import Dataset

STACK = "stack"
"""The name of the served forecast in every table."""

DIGITS = 6
"""Significant digits of a number that goes to git: below them CPUs may differ."""


@dataclass(frozen=True)
class Candidates:
    """What training left of every model of a horizon.

    Attributes:
        graphs: ONNX graphs by name, in the order of params.yaml.
        folds: out-of-fold rows of all models: `symbol, date, target_date, fold, scale, target`
            and one column of predictions per model.
        importance: `feature` and one column per model.
    """

    graphs: Mapping[str, onnx.ModelProto]
    folds: pl.DataFrame
    importance: pl.DataFrame


def load_candidates(horizon: str, names: Sequence[str]) -> Candidates:
    """Read the candidates; only rows that every one of them predicted are compared."""
    folders = {name: CANDIDATES / horizon / name for name in names}
    first, *others = names
    folds = tables.read(folders[first] / "folds.parquet").rename({"prediction": first})
    importance = _importance(folders[first], first)
    keys = ["symbol", "date"]
    for name in others:
        own = tables.read(folders[name] / "folds.parquet", [*keys, "prediction"])
        own = own.rename({"prediction": name})
        folds = folds.join(own, on=keys, how="inner", maintain_order="left")
        importance = importance.join(
            _importance(folders[name], name), on="feature", maintain_order="left"
        )
    loaded = {name: onnx.load(folder / "model.onnx") for name, folder in folders.items()}
    return Candidates(loaded, folds, importance)


def _importance(folder: Path, name: str) -> pl.DataFrame:
    return pl.read_csv(folder / "importance.csv").rename({"importance": name})


def fold_predictions(folds: pl.DataFrame, names: list[str]) -> combine.FoldPredictions:
    """The fold rows as arrays."""
    return combine.FoldPredictions(
        names=names,
        values=folds.select(names).to_numpy().astype(np.float64),
        target=folds["target"].to_numpy(),
        fold=folds["fold"].to_numpy(),
        dates=folds["date"].to_physical().to_numpy(),
        target_dates=folds["target_date"].to_physical().to_numpy(),
    )


def forecast(graph: onnx.ModelProto, data: Dataset) -> pl.DataFrame:
    """Run a horizon's graph.

    Returns:
        `symbol, date, target_date, close, target, forecast, lower, upper, probability`.
    """
    found = graphs.Session(graph)(data.x, data.scale.reshape(-1, 1), data.symbol.reshape(-1, 1))
    return data.rows.select("symbol", "date", "target_date", "close", "target").with_columns(
        pl.Series("forecast", found["return"]),
        *(pl.Series(name, found[name]) for name in ("lower", "upper", "probability")),
    )


def rounded(value: float | None) -> float | None:
    """A number with `DIGITS` significant digits."""
    return None if value is None or not np.isfinite(value) else float(f"{value:.{DIGITS}g}")


@dataclass(frozen=True)
class Training:
    """What the models learned from: its file, and the columns of it that are no features."""

    path: Path
    features: list[str]
    rows: pl.DataFrame

    @classmethod
    def read(cls, path: Path) -> "Training":
        """Read the keys of a dataset; its features are only named."""
        keys = list(tables.dataset_contract([]))
        rows = tables.read(path, keys)
        return cls(path, list(pl.read_parquet_schema(path))[len(keys) :], rows)

    @property
    def symbols(self) -> list[str]:
        """The symbols in the order in which a graph of one model per symbol counts them."""
        return self.rows["symbol"].unique().sort().to_list()

    @property
    def md5(self) -> str:
        """Of the file, as `dvc.lock` has it."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, _md5).hexdigest()


@dataclass(frozen=True)
class Stack:
    """The served forecast: its weights, its fold rows, and how wrong it was on them."""

    chosen: combine.Chosen
    folds: pl.DataFrame
    residuals: graphs.Spread


def fold_skill(chosen: combine.Chosen) -> float:
    """Out-of-sample R2 of the combination on folds that its weights had not seen.

    What to compare experiments by: chosen by their scores on the hold-out, they would fit it.
    """
    return 1 - chosen.errors[chosen.method] / chosen.errors["mean"]


def card(settings: Params, horizon: str, stack: Stack, train: Training) -> dict[str, Any]:
    """The model card: all that a server or a reader must know beside the graph."""
    chosen, folds, residuals = stack.chosen, stack.folds, stack.residuals
    base = float(((folds["target"] - folds["mean"]) ** 2).mean())  # type: ignore[arg-type]
    errors = {
        name: float(((folds["target"] - folds[name]) ** 2).mean())  # type: ignore[arg-type]
        for name in settings.models
    }
    mean_only = chosen.method == "mean" or chosen.weights["mean"] == 1
    return {
        "horizon": horizon,
        "sessions": settings.horizons[horizon],
        "as_of": str(settings.data.as_of),
        "features": train.features,
        "scale": settings.dataset.scale,
        "scope": settings.train.scope,
        "symbols": train.symbols,
        "method": chosen.method,
        "verdict": (
            "no combination beat the historical mean on the folds: the mean is served"
            if mean_only
            else f"the {chosen.method} combination beat the historical mean on the folds"
        ),
        "fold_oos_r2": rounded(fold_skill(chosen)),
        "method_rmse": {name: rounded(error**0.5) for name, error in chosen.errors.items()},
        "candidates": {
            name: {
                "weight": rounded(chosen.weights[name]),
                "fold_rmse": rounded(errors[name] ** 0.5),
                "fold_oos_r2": rounded(1 - errors[name] / base),
            }
            for name in settings.models
        },
        "interval": {
            "level": settings.evaluate.level,
            "lower_quantile": rounded(residuals.lower),
            "upper_quantile": rounded(residuals.upper),
        },
        "residual_quantiles": [
            rounded(value) for value in residuals.grid[:: len(residuals.grid) // 20]
        ],
        "training": {
            "rows": train.rows.height,
            "first": str(train.rows["date"].min()),
            "last": str(train.rows["date"].max()),
            "last_target": str(train.rows["target_date"].max()),
            "data_md5": train.md5,
        },
    }


def coming_sessions() -> list[str]:
    """The sessions that latest has named.

    Raises:
        InputError: they are not there.
    """
    try:
        content = SESSIONS.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{SESSIONS}: no such file; run `dvc repro` or `dvc pull`") from None
    sessions: list[str] = json.loads(content)["sessions"]
    return sessions


def newest_forecasts(rows: pl.DataFrame, horizon: int, sessions: list[str]) -> pl.DataFrame:
    """Forecasts of the newest bars, with the session that each is for.

    Its date is null where the exchange's calendar ends before it.
    """
    days = (
        pl.Series(sessions, dtype=pl.String).str.to_date().append(pl.Series([None], dtype=pl.Date))
    )
    ahead = days[:-1].search_sorted(rows["date"], side="right") + horizon - 1
    return rows.with_columns(target_date=days.gather(ahead.clip(upper_bound=len(sessions)))).drop(
        "target"
    )


def main() -> None:
    """Evaluate the horizon that the command line names."""
    # One thread for BLAS, whose sums depend on it.
    with threadpool_limits(limits=1):
        _evaluate()


def _evaluate() -> None:
    settings = params.load()
    horizon = sys.argv[1]
    names = list(settings.models)
    candidates = load_candidates(horizon, names)
    predictions = fold_predictions(candidates.folds, names)
    chosen = combine.combine(predictions, settings.evaluate.shrinkage)
    combined = combine.combined(predictions, chosen.weights)
    folds = candidates.folds.with_columns(pl.Series(STACK, combined))

    weights = {STACK: chosen.weights, **{name: {name: 1.0} for name in names}}
    scale = folds["scale"].to_numpy().astype(np.float64)
    residuals = {
        model: spread(predictions.target, folds[model].to_numpy(), scale, settings.evaluate.level)
        for model in weights
    }
    forecasters = {
        model: graphs.forecast(candidates.graphs, weights[model], residuals[model])
        for model in weights
    }

    path = DATASETS / horizon
    train = Training.read(path / "train.parquet")
    per_symbol = settings.train.scope == "per_symbol"
    held_out, newest = (
        Dataset(path / f"{part}.parquet", train.symbols, only_named=per_symbol)
        for part in ("test", "newest")
    )
    left_out = sorted({*held_out.left_out, *newest.left_out})
    if left_out:
        log.warning(
            "evaluate %s: %s: no training row and so no model; left out of scores and forecasts",
            horizon,
            few(left_out),
        )
    forecasts = {
        model: forecast(forecasters[model], held_out)
        for model in progress(weights, f"evaluate {horizon}")
    }
    for model, rows in forecasts.items():
        forecasts[model] = rows.with_columns(mean=forecasts["mean"]["forecast"])
    scored = table(forecasts, settings.horizons[horizon])

    ahead = forecast(forecasters[STACK], newest)
    upcoming = newest_forecasts(ahead, settings.horizons[horizon], coming_sessions())
    with tables.replacing(MODELS / horizon) as folder:
        folder.mkdir(parents=True)
        graphs.save(forecasters[STACK], folder / "model.onnx")
        content = card(settings, horizon, Stack(chosen, folds, residuals[STACK]), train)
        _write_json(content, folder / "card.json")
        kept = pl.concat([forecasts[STACK].drop("mean"), ahead]).sort("symbol", "date")
        tables.write(kept, folder / "forecasts.parquet")
    with tables.replacing(METRICS / horizon) as folder:
        folder.mkdir(parents=True)
        _write_csv(scored, folder / "scores.csv")
        _write_csv(upcoming, folder / "forecasts.csv")
        drawn = forecasts[STACK].with_columns(scale=held_out.rows["scale"])
        unseen = folds.with_columns(pl.Series(STACK, chosen.unseen))
        for name, data in plots.of(
            drawn, unseen, [STACK, *names], candidates.importance, chosen
        ).items():
            _write_csv(data, folder / f"{name}.csv")
    row = scored.row(0, named=True)
    with tables.replacing(METRICS / f"{horizon}.json") as partial:
        _write_json(
            {"rows": row["rows"], "fold_oos_r2": rounded(fold_skill(chosen))}
            | {name: rounded(row[name]) for name in COLUMNS[1:]},
            partial,
        )
    log.info(
        "evaluate %s: %s of %s candidates, %s held-out rows, out-of-sample R2 %s (p %s) -> %s",
        horizon,
        chosen.method,
        len(names),
        f"{row['rows']:,}",
        *("-" if row[name] is None else f"{row[name]:.4f}" for name in ("oos_r2", "p_value")),
        MODELS / horizon,
    )


def _md5() -> "hashlib._Hash":
    return hashlib.md5(usedforsecurity=False)


def _write_json(content: Mapping[str, Any], path: Path) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _write_csv(frame: pl.DataFrame, path: Path) -> None:
    floats = [name for name, dtype in frame.schema.items() if dtype.is_float()]
    frame.with_columns(pl.col(floats).cast(pl.Float64).round_sig_figs(DIGITS)).write_csv(path)


if __name__ == "__main__":
    run(main)
