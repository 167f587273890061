"""Combine the candidates of one horizon, and report once on the hold-out.

Reads the datasets and candidates of the horizon; writes models/<horizon>/ (`model.onnx`, the whole
forecast as one graph; `card.json`, how it was made; `scores.json`, its scores;
`forecasts.parquet`, its forecasts for every held-out and newest bar), models/refitted/<horizon>/
(graphs of what it is made of) and metrics/<horizon>.json beside metrics/<horizon>/ (the table of
all models, the newest forecasts, the data of the plots). Everything is chosen on folds; the
hold-out is read after the choice is made, and what was chosen is then fitted once more on all rows.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import onnx
import polars as pl
from threadpoolctl import threadpool_limits

from stages.common import tables
from stages.common.errors import few
from stages.common.paths import CANDIDATES, DATASETS, METRICS, MODELS, REFITTED, SESSIONS
from stages.common.running import arguments, log, progress, run
from stages.common.sections import DataParams, Horizons, Sections, load, sessions
from stages.common.tables import ENDED_DAYS
from stages.forecast import baselines, dataset_params
from stages.forecast.contract import FORECAST_OUTPUTS
from stages.forecast.dataset_params import DatasetParams
from stages.forecast.evaluation import combine, plots
from stages.forecast.evaluation.card import FitRecord, Recipe, Stack, Training, card, training
from stages.forecast.evaluation.contestants import STACK, against_baselines, contestants, fit
from stages.forecast.evaluation.fold_rows import (
    Candidates,
    errors_of,
    fold_intervals,
    fold_logs,
    fold_predictions,
    load_candidates,
    with_baselines,
)
from stages.forecast.evaluation.refit import refitted, together
from stages.forecast.evaluation.scale import Errors, choose, logarithms, unseen
from stages.forecast.rounding import DIGITS, rounded
from stages.forecast.scoring.distribution import with_losses
from stages.forecast.scoring.scores import COLUMNS, table
from stages.forecast.session import Session
from stages.forecast.training import graphs
from stages.forecast.training.arrays import Dataset
from stages.forecast.training.train_params import BASELINES, EvaluateParams, Models, TrainParams


class Settings(Sections):
    """What evaluate obeys."""

    data: DataParams
    dataset: DatasetParams
    horizons: Horizons
    train: TrainParams
    models: Models
    evaluate: EvaluateParams


def forecast(graph: onnx.ModelProto, data: Dataset) -> pl.DataFrame:
    """Run a horizon's graph.

    Returns:
        `symbol, date, target_date, close, target, forecast, lower, upper, probability, scale`.
    """
    outputs = Session(graph)(data.x, data.symbol.reshape(-1, 1))
    return data.rows.select("symbol", "date", "target_date", "close", "target").with_columns(
        pl.Series("forecast", outputs["return"]),
        *(pl.Series(name, outputs[name]) for name in FORECAST_OUTPUTS[1:]),
    )


def held_out_errors(rows: pl.DataFrame, data: Dataset, columns: Sequence[str]) -> Errors:
    """The errors of a forecast on the hold-out, and the columns of the scale there.

    Args:
        rows: its forecasts, in the order of the hold-out.
        data: the hold-out.
        columns: of the scale.
    """
    places = [data.features.index(name) for name in columns]
    # They come after every fold, and no fold is scored by them.
    rows = rows.with_columns(fold=pl.lit(0, pl.Int32))
    return errors_of(rows, "forecast", logarithms(data.x[:, places]), columns)


def served_scores(scores: pl.DataFrame) -> dict[str, dict[str, float | int | None]]:
    """The scores of the served forecast on the hold-out: `all`, then each symbol."""
    return {
        row["symbol"]: {"rows": row["rows"]} | {name: rounded(row[name]) for name in COLUMNS[1:]}
        for row in scores.filter(pl.col("model") == STACK).iter_rows(named=True)
    }


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
class Datasets:
    """The rows of a horizon.

    Attributes:
        train: what the candidates were trained on.
        held_out: rows that no model has seen.
        newest: rows whose target is yet to come.
        known: every row whose target is known, in parts, for the refit; empty without one.
    """

    train: Training
    held_out: Dataset
    newest: Dataset
    known: tuple[Dataset, ...] = ()


@dataclass(frozen=True)
class Evaluation:
    """The results of a horizon.

    Attributes:
        graph: the served forecast.
        refitted: graphs of what it is made of, by name; empty without a refit.
        card: its model card.
        forecasts: of every held-out bar, by the fit that has not seen it, and of the newest bars,
            whose `target` is null, by the one that is served.
        scores: of every model, pooled and per symbol (`scores.table`).
        upcoming: forecasts of the newest bars with the session that each is for.
        plots: their data, by name.
    """

    graph: onnx.ModelProto
    refitted: Mapping[str, onnx.ModelProto]
    card: dict[str, Any]
    forecasts: pl.DataFrame
    scores: pl.DataFrame
    upcoming: pl.DataFrame
    plots: Mapping[str, pl.DataFrame]


def evaluate(
    settings: Settings, horizon: str, candidates: Candidates, data: Datasets
) -> Evaluation:
    """Combine the candidates by their folds, score the result and each of them, then refit it.

    Args:
        settings: what evaluate obeys.
        horizon: one of `settings.horizons`.
        candidates: what training left.
        data: its rows; those held out are used only after everything is chosen.
    """
    features, level = data.train.features, settings.evaluate.level
    names, scope = list(settings.models), settings.train.scope
    folds = with_baselines(candidates.folds, data.train.rows, settings.train)
    predictions = fold_predictions(folds, names)
    length, params = settings.horizons[horizon], settings.evaluate
    chosen = combine.combine(predictions, params.shrinkage, params.significance, length)
    folds = folds.with_columns(pl.Series(STACK, combine.combined(predictions, chosen.weights)))
    columns = dataset_params.chosen(settings.dataset.scale, features)
    logs = fold_logs(folds, data.train.path, columns)
    errors = errors_of(folds, STACK, logs, columns)
    kind, kinds = choose(errors, params.scale_shrinkage, level)

    rows = contestants(chosen.weights, names, columns, kind)
    means = baselines.as_graphs(data.train.rows, data.train.symbols, len(features), scope)
    fits = {
        name: fit(
            {**candidates.graphs, **means},
            row,
            errors_of(folds, row.column, logs, columns),
            features,
            params,
        )
        for name, row in rows.items()
    }
    held_out = against_baselines(
        {
            name: with_losses(forecast(fits[name].graph, data.held_out), fits[name].spread, level)
            for name in progress(fits, f"evaluate {horizon}")
        }
    )
    graphs_of: Mapping[str, onnx.ModelProto] = {}
    served = fits[STACK]
    if data.known:
        model_features = dataset_params.chosen(settings.dataset.features, features)
        graphs_of = refitted(
            chosen.weights, data.known, model_features, settings.models, settings.train
        )
        every = together(errors, held_out_errors(held_out[STACK], data.held_out, columns))
        served = fit(graphs_of, rows[STACK], every, features, params)
    ahead = forecast(served.graph, data.newest)
    intervals = unseen(kind, errors, params.scale_shrinkage, level)
    coming = json.loads(tables.file_bytes(SESSIONS))["sessions"]
    on_folds = plots.forecast_and_outcome(fold_intervals(folds, STACK, intervals))
    return Evaluation(
        graph=served.graph,
        refitted=graphs_of,
        card=card(
            Recipe(horizon, length, settings.data.as_of, scope, level),
            Stack(chosen, folds, kinds),
            data.train,
            FitRecord(served.scale, served.spread, training(data.known or (data.train,))),
            FitRecord(fits[STACK].scale, fits[STACK].spread, training((data.train,))),
        ),
        forecasts=pl.concat([held_out[STACK].select(ahead.columns), ahead]).sort("symbol", "date"),
        scores=table(held_out, length),
        upcoming=newest_forecasts(ahead.drop("scale"), length, coming),
        plots={"fold_forecast": on_folds}
        | plots.of(
            held_out[STACK],
            folds.with_columns(pl.Series(STACK, chosen.unseen)),
            [STACK, *BASELINES, *names],
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
        parts = stack.enter_context(tables.replacing(REFITTED / horizon))
        parts.mkdir(parents=True)
        for name, graph in done.refitted.items():
            graphs.save(graph, parts / f"{name}.onnx")
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
    held_out, newest, *others = (
        Dataset(path / f"{part}.parquet", train.symbols, only_named=per_symbol)
        for part in ("test", "newest", *(("train", "purged") if settings.train.refit else ()))
    )
    known = (*others, held_out) if others else ()
    left_out = sorted({*held_out.left_out, *newest.left_out})
    if left_out:
        log.warning(
            "evaluate %s: %s: no training row and so no model; left out of scores and forecasts",
            horizon,
            few(left_out),
        )
    # One thread for BLAS, whose sums depend on it.
    with threadpool_limits(limits=1):
        done = evaluate(settings, horizon, candidates, Datasets(train, held_out, newest, known))
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
