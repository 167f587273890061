"""Every score of the pipeline's tables for live forecasts, and for the yardstick beside them."""

import math

import numpy as np
import polars as pl

from monitor.performance.judged_rows import YARDSTICK, Scores
from stages.forecast.scoring.distribution import LOSSES
from stages.forecast.scoring.scores import scores

SHOWN = (
    *("mae", "rmse", "oos_r2", "direction", "f1", "precision", "recall", "auc", "brier"),
    *("coverage", "width", "interval_score", "crps", "crps_skill", "rank_ic"),
)
"""In the order of tables; `scores.COLUMNS` says what each is."""


def of_model(rows: pl.DataFrame, sessions: int) -> Scores:
    """The scores of a model's live forecasts.

    Args:
        rows: at least one, as `judged_rows.judge` gives them.
        sessions: of the horizon.

    Returns:
        The scores of `SHOWN`; null where one is not defined (of a single class, of equal forecasts)
        or where the model's distribution or the bars are not known for some row.
    """
    return _known(scores(rows, sessions))


def of_yardstick(rows: pl.DataFrame, sessions: int) -> Scores:
    """The scores of the yardstick on the same rows."""
    own = {name: pl.col(f"base_{name}") for name in YARDSTICK}
    own_scores = _known(scores(rows.with_columns(**own), sessions))
    unknown = rows["base_crps"].is_nan().any()
    return {name: None if unknown else value for name, value in own_scores.items()}


def remarks(rows: pl.DataFrame) -> tuple[str, ...]:
    """What a reader of the scores must know, in words."""
    lines = []
    if rows.height == 1:
        lines.append("one forecast has a label: no score says anything yet")
    rose = (rows["target"] > 0).unique()
    if len(rose) == 1 and rows.height > 1:
        lines.append(f"every outcome {'rose' if rose[0] else 'fell'}: AUC is not defined")
    if rows.height > 1 and rows["forecast"].n_unique() == 1:
        lines.append("every forecast is the same: it has no rank and no skill beyond its mean")
    missing = int(rows.select(pl.any_horizontal(pl.col(*LOSSES).is_nan()).sum()).item())
    if missing:
        lines.append(
            f"{missing:,} of {rows.height:,} rows have no known distribution: CRPS is null"
        )
    return tuple(lines)


def _known(all_scores: Scores) -> Scores:
    return {name: _number(all_scores[name]) for name in SHOWN}


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(np.float64(value)) else float(value)
