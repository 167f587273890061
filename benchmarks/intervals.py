"""The scale of the interval against simpler ones and a GARCH, on the hold-out of this project.

Reads what `dvc repro` left in the current folder. Every row of the table is the same forecast,
with the same split-conformal quantiles of its errors on the folds: only their scale differs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

import numpy as np
import polars as pl
from arch import arch_model

from benchmarks.report import Report, required
from stages.common import tables
from stages.common.paths import CLEAN_DAILY, DATASETS, MODELS
from stages.common.sections import load
from stages.evaluate import Settings
from stages.forecast import dataset_params
from stages.forecast.evaluation import combine, scale
from stages.forecast.evaluation.card import Training
from stages.forecast.evaluation.contestants import STACK
from stages.forecast.evaluation.fold_rows import (
    KEYS,
    errors_of,
    fold_predictions,
    load_candidates,
    with_baselines,
)
from stages.forecast.evaluation.scale import CONSTANT, Errors
from stages.forecast.scoring.spread import crps, interval_score, spread
from stages.forecast.training.train_params import EvaluateParams

SERVED, VOLATILITY, EWMA, GARCH = "served", "vol_14", "ewma_vol_94", "GARCH(1,1)"
RIVALS = (VOLATILITY, EWMA, "rel_atr_14", CONSTANT, GARCH)

GAIN, LOSS = 0.95, 1.01
"""Bounds of the interval score: times that of vol_14, and times those of EWMA and GARCH."""

LEAST = 250
"""A GARCH is estimated from so many returns at least; with fewer, a symbol has none."""


@dataclass(frozen=True)
class Loss:
    """Means over the hold-out: interval score and CRPS in units of return, and the coverage."""

    interval: float
    crps: float
    coverage: float


def garch(closes: pl.DataFrame, begins: Sequence[date], sessions: int) -> pl.DataFrame:
    """Volatility of the coming return by a GARCH(1,1) of each symbol (Bollerslev, 1986).

    Each span from one of `begins` to the next is filtered with what was estimated before it.

    Args:
        closes: `symbol, date, adj_close`, sorted.
        begins: the first session of each fold and of the hold-out, ascending.
        sessions: the length of the return.

    Returns:
        `symbol, date` and the volatility.
    """
    parts = []
    for (symbol,), bars in closes.group_by("symbol", maintain_order=True):
        dates = bars["date"][1:]
        percent = (100 * bars["adj_close"].pct_change()[1:]).to_numpy()
        ends = [int(dates.search_sorted(begin)) for begin in begins] + [len(dates)]
        for begin, end in pairwise(ends):
            if LEAST <= begin < end:
                model = arch_model(percent[:end], rescale=False)
                fitted = model.fit(last_obs=begin, disp="off", show_warning=False)
                ahead = fitted.forecast(horizon=sessions, start=begin, reindex=False)
                volatility = np.sqrt(ahead.variance.to_numpy().sum(axis=1)) / 100
                named = {"symbol": symbol, "date": dates[begin:end], GARCH: volatility}
                parts.append(pl.DataFrame(named))
    return pl.concat(parts)


def losses(horizon: str, settings: Settings) -> dict[str, Loss]:
    """The losses of the served forecast with each scale, by its name."""
    train = Training.read(DATASETS / horizon / "train.parquet")
    columns = dataset_params.chosen(settings.dataset.scale, train.features)
    params, length = settings.evaluate, settings.horizons[horizon]
    names = list(settings.models)
    folds = with_baselines(load_candidates(horizon, names).folds, train.rows, settings.train)
    predictions = fold_predictions(folds, names)
    chosen = combine.combine(predictions, params.shrinkage, params.significance, length)
    combined = combine.combined(predictions, chosen.weights)
    held_out = tables.read(MODELS / horizon / "forecasts.parquet").drop_nulls("target")
    firsts = folds.group_by("fold").agg(pl.col("date").min())["date"].sort()
    begins = [*firsts.to_list(), *held_out["date"].sort().head(1).to_list()]
    closes = tables.read(CLEAN_DAILY, [*KEYS, "adj_close"]).sort(KEYS)
    volatility = garch(closes, begins, length)

    def with_columns(rows: pl.DataFrame, part: str) -> pl.DataFrame:
        known = tables.read(DATASETS / horizon / f"{part}.parquet", [*KEYS, *columns])
        known = known.join(volatility, KEYS, "left")
        return rows.join(known, KEYS, "left", maintain_order="left")

    before = with_columns(folds.with_columns(pl.Series(STACK, combined)), "train")
    after = with_columns(
        held_out.with_columns(pl.col("forecast").alias(STACK), fold=pl.lit(0)), "test"
    )

    def errors(rows: pl.DataFrame, inputs: Sequence[str]) -> Errors:
        return errors_of(rows, STACK, scale.logarithms(rows.select(inputs).to_numpy()), inputs)

    kind, _ = scale.choose(errors(before, columns), params.scale_shrinkage, params.level)
    by_scale = {}
    for name, own in {f"{SERVED}: {kind}": kind, **dict(zip(RIVALS, RIVALS, strict=True))}.items():
        inputs = [GARCH] if own == GARCH else columns
        known = errors(before.drop_nulls(inputs), inputs)
        by_scale[name] = loss(own, known, errors(after, inputs), params)
    return by_scale


def loss(kind: str, before: Errors, after: Errors, params: EvaluateParams) -> Loss:
    """Fit a scale and the quantiles to errors, and score them on later errors."""
    fitted = scale.fit(kind, before, params.scale_shrinkage)
    quantiles = spread(before.error / fitted(before.logs), params.level)
    reach = fitted(after.logs)
    lower, upper = reach * quantiles.lower, reach * quantiles.upper
    return Loss(
        float(interval_score(after.error, lower, upper, params.level).mean()),
        float((reach * crps(after.error / reach, quantiles.grid)).mean()),
        float(((lower <= after.error) & (after.error <= upper)).mean()),
    )


def measure() -> Report:
    """Every horizon of the project in the current folder."""
    settings = load(Settings)
    rows, findings = [], []
    for horizon in settings.horizons:
        by_scale = losses(horizon, settings)
        served, *_ = by_scale.values()
        for name, each in by_scale.items():
            times = each.interval / by_scale[VOLATILITY].interval
            figures = (f"{each.interval:.5f}", f"{times:.3f}", f"{each.crps:.5f}")
            rows.append((horizon, name, *figures, f"{each.coverage:.1%}"))
        for name, bound in ((VOLATILITY, GAIN), (EWMA, LOSS), (GARCH, LOSS)):
            times = served.interval / by_scale[name].interval
            findings.append(f"{horizon}: {times:.3f} times {name}; {required(times, bound)}.")
    header = ("horizon", "scale", "interval score", f"times {VOLATILITY}", "CRPS", "coverage")
    return Report(header, rows, findings, ("arch", "numpy", "polars"), texts=2)
