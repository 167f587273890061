"""The data of the plots that `dvc plots show` draws: small, whatever the size of the panel."""

import numpy as np
import polars as pl

from stages.forecast.evaluation.combine import Chosen
from stages.forecast.scoring.distribution import coverage, pit_histogram

BINS = 10
RESIDUAL_EDGE, RESIDUAL_STEP = 4.0, 0.25


def of(
    stack: pl.DataFrame,
    folds: pl.DataFrame,
    models: list[str],
    importance: pl.DataFrame,
    chosen: Chosen,
) -> dict[str, pl.DataFrame]:
    """Every plot's table, by the name of its file.

    Args:
        stack: held-out rows of the served forecast, with their losses.
        folds: out-of-fold rows: `fold, target, mean` and one column per model, NaN where it
            has no forecast.
        models: names of the columns in `folds`.
        importance: `feature` and one column per candidate.
        chosen: the combination, for the weights of the importance.
    """
    return {
        "forecast": forecast_and_outcome(stack),
        "residuals": residuals(stack),
        "calibration": calibration(stack),
        "pit": pit_histogram(stack),
        "coverage": coverage(stack),
        "importance": weighted_importance(importance, chosen),
        "folds": fold_skill(folds, models),
    }


def forecast_and_outcome(stack: pl.DataFrame) -> pl.DataFrame:
    """Forecast, interval and outcome of the first symbol, per date of the hold-out."""
    return (
        stack.filter(pl.col("symbol") == pl.col("symbol").min())
        .select("symbol", "date", pl.col("target").alias("outcome"), "forecast", "lower", "upper")
        .sort("date")
    )


def residuals(stack: pl.DataFrame) -> pl.DataFrame:
    """Histogram of residuals in units of their own standard deviation after scaling."""
    scaled = ((stack["target"] - stack["forecast"]) / stack["scale"]).to_numpy()
    spread = scaled.std()
    units = np.clip(scaled / spread if spread > 0 else scaled, -RESIDUAL_EDGE, RESIDUAL_EDGE)
    edges = np.arange(-RESIDUAL_EDGE, RESIDUAL_EDGE + RESIDUAL_STEP, RESIDUAL_STEP)
    counts, _ = np.histogram(units, edges)
    centres = (edges[:-1] + edges[1:]) / 2
    return pl.DataFrame({"residual": centres, "share": counts / max(1, len(units))})


def calibration(stack: pl.DataFrame) -> pl.DataFrame:
    """How often the price rose where the forecast gave a rise about this probability.

    Equal probabilities share a bin, so a forecast that never varies has one.
    """
    rank = pl.col("probability").rank("average")
    return (
        stack.with_columns(bin=((rank - 0.5) * BINS / pl.len()).floor())
        .group_by("bin")
        .agg(
            pl.col("probability").cast(pl.Float64).mean().alias("forecast"),
            (pl.col("target") > 0).mean().alias("observed"),
            pl.len().alias("rows"),
        )
        .sort("bin")
        .drop("bin")
    )


def weighted_importance(importance: pl.DataFrame, chosen: Chosen) -> pl.DataFrame:
    """Importance of each feature, candidates weighted as in the stack or equally."""
    models = [name for name in importance.columns if name != "feature"]
    weights = {name: chosen.weights[name] for name in models}
    if not any(weights.values()):
        weights = dict.fromkeys(models, 1.0)
    total = sum(weights.values())
    weighted = pl.sum_horizontal(
        pl.col(name) * (weight / total) for name, weight in weights.items()
    )
    return importance.select("feature", importance=weighted).sort(
        "importance", "feature", descending=[True, False]
    )


def fold_skill(folds: pl.DataFrame, models: list[str]) -> pl.DataFrame:
    """Out-of-sample R2 of each model against the historical mean, fold by fold.

    A fold in which a model has no forecast is left out.
    """
    base = ((pl.col("target") - pl.col("mean")) ** 2).sum()
    skill = [
        (1 - ((pl.col("target") - pl.col(name)) ** 2).sum() / base).alias(name) for name in models
    ]
    return (
        folds.group_by("fold")
        .agg(skill)
        .sort("fold")
        .unpivot(models, index="fold", variable_name="model", value_name="oos_r2")
        .filter(pl.col("oos_r2").is_finite())
    )
