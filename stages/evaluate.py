"""Combine the candidates of one horizon, and report once on the hold-out.

Reads the datasets and candidates of the horizon; writes models/<horizon>/ (`model.onnx`, the whole
forecast as one graph; `card.json`, how it was made; `scores.json`, its scores;
`forecasts.parquet`, its forecasts for every held-out and newest bar) and metrics/<horizon>.json
beside metrics/<horizon>/ (the table of all models, the newest forecasts, the data of the plots).
Everything is chosen on folds; the hold-out is read after the choice is made.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
from threadpoolctl import threadpool_limits

from stages.common import tables
from stages.common.errors import InputError, few
from stages.common.paths import CANDIDATES, DATASETS, METRICS, MODELS, SESSIONS
from stages.common.running import arguments, log, progress, run
from stages.common.sections import DataParams, Horizons, Sections, load, sessions
from stages.common.tables import ENDED_DAYS
from stages.forecast import baselines, combine, plots
from stages.forecast.calibrate import spread
from stages.forecast.card import Recipe, Stack, Training, card
from stages.forecast.dataset_params import DatasetParams
from stages.forecast.rounding import DIGITS, rounded
from stages.forecast.scores import COLUMNS, table
from stages.forecast.session import Session
from stages.forecast.training import graphs
from stages.forecast.training.arrays import Dataset
from stages.forecast.training.folds import walk_forward
from stages.forecast.training.train_params import BASELINES, EvaluateParams, Models, TrainParams

STACK = "stack"
"""The name of the served forecast in every table."""


class Settings(Sections):
    """What evaluate obeys."""

    data: DataParams
    dataset: DatasetParams
    horizons: Horizons
    train: TrainParams
    models: Models
    evaluate: EvaluateParams


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
    """Read the candidates, and the fold rows that all of them predicted."""
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


def forecast(graph: onnx.ModelProto, data: Dataset) -> pl.DataFrame:
    """Run a horizon's graph.

    Returns:
        `symbol, date, target_date, close, target, forecast, lower, upper, probability`.
    """
    outputs = Session(graph)(data.x, data.scale.reshape(-1, 1), data.symbol.reshape(-1, 1))
    return data.rows.select("symbol", "date", "target_date", "close", "target").with_columns(
        pl.Series("forecast", outputs["return"]),
        *(pl.Series(name, outputs[name]) for name in ("lower", "upper", "probability")),
    )


def served_scores(scores: pl.DataFrame) -> dict[str, dict[str, float | int | None]]:
    """The scores of the served forecast on the hold-out: `all`, then each symbol."""
    return {
        row["symbol"]: {"rows": row["rows"]} | {name: rounded(row[name]) for name in COLUMNS[1:]}
        for row in scores.filter(pl.col("model") == STACK).iter_rows(named=True)
    }


def coming_sessions() -> list[str]:
    """The sessions that latest wrote.

    Raises:
        InputError: the file is missing.
    """
    try:
        content = SESSIONS.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{SESSIONS}: no such file; run `dvc repro` or `dvc pull`") from None
    sessions: list[str] = json.loads(content)["sessions"]
    return sessions


def newest_forecasts(rows: pl.DataFrame, horizon: int, sessions: list[str]) -> pl.DataFrame:
    """Forecasts of the newest bars, with the session that each is for.

    Its date is null where the exchange's calendar ends before it. `stale` says of which symbols the
    bars ended more than 30 days before the newest.
    """
    days = (
        pl.Series(sessions, dtype=pl.String).str.to_date().append(pl.Series([None], dtype=pl.Date))
    )
    ahead = days[:-1].search_sorted(rows["date"], side="right") + horizon - 1
    return rows.with_columns(
        target_date=days.gather(ahead.clip(upper_bound=len(sessions))),
        stale=pl.col("date").max() - pl.col("date") > timedelta(days=ENDED_DAYS),
    ).drop("target")


@dataclass(frozen=True)
class Evaluation:
    """The results of a horizon.

    Attributes:
        graph: the served forecast.
        card: its model card.
        forecasts: its forecasts of every held-out bar, and of the newest bars, whose `target` is
            null.
        scores: of every model, pooled and per symbol (`scores.table`).
        upcoming: forecasts of the newest bars with the session that each is for.
        plots: their data, by name.
    """

    graph: onnx.ModelProto
    card: dict[str, Any]
    forecasts: pl.DataFrame
    scores: pl.DataFrame
    upcoming: pl.DataFrame
    plots: Mapping[str, pl.DataFrame]


@dataclass(frozen=True)
class Datasets:
    """The rows of a horizon.

    Attributes:
        train: what the candidates were trained on.
        held_out: rows that no model has seen.
        newest: rows whose target is yet to come.
    """

    train: Training
    held_out: Dataset
    newest: Dataset


def evaluate(
    settings: Settings, horizon: str, candidates: Candidates, data: Datasets
) -> Evaluation:
    """Combine the candidates by their folds, then score the result and each of them.

    Args:
        settings: what evaluate obeys.
        horizon: one of `settings.horizons`.
        candidates: what training left.
        data: its rows; those held out are used only after the weights are chosen.
    """
    names = [*BASELINES, *settings.models]
    folds = with_baselines(candidates.folds, data.train.rows, settings.train)
    predictions = fold_predictions(folds, list(settings.models))
    chosen = combine.combine(predictions, settings.evaluate.shrinkage)
    folds = folds.with_columns(pl.Series(STACK, combine.combined(predictions, chosen.weights)))
    weights = {STACK: chosen.weights, **{name: {name: 1.0} for name in names}}
    every = dict(candidates.graphs) | baselines.as_graphs(
        data.train.rows, data.train.symbols, len(data.train.features), settings.train.scope
    )
    scale = folds["scale"].to_numpy().astype(np.float64)
    residuals = {
        model: spread(predictions.target, folds[model].to_numpy(), scale, settings.evaluate.level)
        for model in weights
    }
    forecasters = {
        model: graphs.forecast(every, weights[model], residuals[model]) for model in weights
    }
    held_out = {
        model: forecast(forecasters[model], data.held_out)
        for model in progress(weights, f"evaluate {horizon}")
    }
    mean = held_out["mean"]["forecast"]
    held_out = {model: rows.with_columns(mean=mean) for model, rows in held_out.items()}
    ahead = forecast(forecasters[STACK], data.newest)
    length = settings.horizons[horizon]
    scores = table(held_out, length)
    return Evaluation(
        graph=forecasters[STACK],
        card=card(
            Recipe(
                horizon=horizon,
                sessions=length,
                as_of=settings.data.as_of,
                scale=settings.dataset.scale,
                scope=settings.train.scope,
                level=settings.evaluate.level,
            ),
            Stack(chosen, folds, residuals[STACK]),
            data.train,
        ),
        forecasts=pl.concat([held_out[STACK].drop("mean"), ahead]).sort("symbol", "date"),
        scores=scores,
        upcoming=newest_forecasts(ahead, length, coming_sessions()),
        plots=plots.of(
            held_out[STACK].with_columns(scale=data.held_out.rows["scale"]),
            folds.with_columns(pl.Series(STACK, chosen.unseen)),
            [STACK, *names],
            candidates.importance,
            chosen,
        ),
    )


def write(done: Evaluation, horizon: str) -> None:
    """Write every output under a temporary name, then rename one after the other."""
    with ExitStack() as stack:
        files = {
            name: stack.enter_context(tables.replacing(MODELS / horizon / name))
            for name in ("model.onnx", "card.json", "scores.json", "forecasts.parquet")
        }
        graphs.save(done.graph, files["model.onnx"])
        _write_json(done.card, files["card.json"])
        served = served_scores(done.scores)
        _write_json(served, files["scores.json"])
        with tables.Writer(files["forecasts.parquet"]) as writer:
            writer.append(done.forecasts)
        csv = {"scores": done.scores, "forecasts": done.upcoming, **done.plots}
        for name, data in csv.items():
            # Not the whole folder: backtest writes there too.
            path = METRICS / horizon / f"{name}.csv"
            _write_csv(data, stack.enter_context(tables.replacing(path)))
        scored = served["all"]
        _write_json(
            {"rows": scored["rows"], "fold_oos_r2": done.card["fold_oos_r2"], **scored},
            stack.enter_context(tables.replacing(METRICS / f"{horizon}.json")),
        )


def main() -> None:
    """Evaluate the horizon that the command line names."""
    settings = load(Settings)
    (horizon,) = arguments("horizon")
    sessions(settings.horizons, horizon)
    path = DATASETS / horizon
    train = Training.read(path / "train.parquet")
    tables.keep_only(CANDIDATES / horizon, settings.models)
    candidates = load_candidates(horizon, list(settings.models))
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
    # One thread for BLAS, whose sums depend on it.
    with threadpool_limits(limits=1):
        done = evaluate(settings, horizon, candidates, Datasets(train, held_out, newest))
    write(done, horizon)
    row = done.scores.row(0, named=True)
    log.info(
        "evaluate %s: %s of %s candidates, %s held-out rows, out-of-sample R2 %s (p %s) -> %s",
        horizon,
        done.card["method"],
        len(settings.models),
        f"{row['rows']:,}",
        *("-" if row[name] is None else f"{row[name]:.4f}" for name in ("oos_r2", "p_value")),
        MODELS / horizon,
    )


def _write_json(content: Mapping[str, Any], path: Path) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _write_csv(frame: pl.DataFrame, path: Path) -> None:
    floats = [name for name, dtype in frame.schema.items() if dtype.is_float()]
    frame.with_columns(pl.col(floats).cast(pl.Float64).round_sig_figs(DIGITS)).write_csv(path)


if __name__ == "__main__":
    run(main)
