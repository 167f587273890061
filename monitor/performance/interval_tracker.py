"""Intervals corrected by their outcomes: a delayed quantile tracker for each side.

Of a forecast's interval, each side is stretched by a factor. When a forecast falls due, the factor
grows by a step if the outcome lay beyond the side that it had stretched, and shrinks by a little if
not, so that in the long run the share beyond is the intended one, whatever the market does
(Gibbs and Candès, 2021; Angelopoulos, Candès and Tibshirani, 2023). A forecast of h sessions falls
due h sessions late, and its neighbours miss with it: steps are smaller by the root of h, or the
factors would swing.
"""

import json
import math
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from stages.common import tables

FILE = "intervals.json"
"""Within the folder of the monitor; the server reads it."""

DIGITS = 6
"""Of the factors."""


@dataclass(frozen=True)
class Tracked:
    """The correction of a horizon's intervals.

    Attributes:
        model_md5: the newest model with a label.
        factor_lower, factor_upper: by which each side is stretched; 1 leaves it as it is.
        updated_to: the newest target session that is known.
        coverage_before, coverage_after: shares of outcomes that the model's own intervals and the
            corrected ones held, over the newest dates.
    """

    model_md5: str
    factor_lower: float
    factor_upper: float
    updated_to: str
    coverage_before: float
    coverage_after: float


def track(rows: pl.DataFrame, sessions: int, step: float, newest: int) -> Tracked | None:
    """Follow the factors from the first label to the newest.

    The factors go on from a model to its successor: what is tracked is the champion.

    Args:
        rows: `symbol, date, target_date, target, forecast, lower, upper, level, model_md5`, as
            `judged_rows.judge` gives them.
        sessions: of the horizon.
        step: how far a factor of a horizon of one session moves if an outcome lies beyond.
        newest: dates whose coverage is reported.

    Returns:
        The factors, or None without a row or where an interval has no width.
    """
    rows = rows.filter(pl.col("lower") < pl.col("forecast"), pl.col("forecast") < pl.col("upper"))
    if rows.is_empty():
        return None
    reach = rows.with_columns(
        below=(pl.col("forecast") - pl.col("target")) / (pl.col("forecast") - pl.col("lower")),
        above=(pl.col("target") - pl.col("forecast")) / (pl.col("upper") - pl.col("forecast")),
        share=(1 - pl.col("level")) / 2,
    ).sort("target_date", "date", "symbol")
    rate = step / math.sqrt(sessions)
    # Factors by date of forecast: those that were known when it was made.
    days = sorted({*rows["date"], *rows["target_date"]})
    due = {day: part for (day,), part in reach.group_by("target_date", maintain_order=True)}
    factors = np.ones(2)
    at: dict[date, npt.NDArray[np.float64]] = {}
    for day in days:
        if day in due:
            part = due[day]
            used = np.array([at[session] for session in part["date"]])
            beyond = part.select("below", "above").to_numpy() > used
            wanted = part["share"].to_numpy()[:, None]
            factors = factors + rate * (beyond - wanted).mean(axis=0)
        at[day] = factors
    lower, upper = np.array([at[session] for session in reach["date"]]).T
    inside = reach.with_columns(
        before=(pl.col("below") <= 1) & (pl.col("above") <= 1),
        after=(pl.col("below") <= pl.Series(lower)) & (pl.col("above") <= pl.Series(upper)),
    ).filter(pl.col("date").rank("dense", descending=True) <= newest)
    last = reach["target_date"][-1]
    assert isinstance(last, date)  # noqa: S101  # there is a row
    return Tracked(
        model_md5=rows.sort("date", maintain_order=True)["model_md5"][-1],
        factor_lower=round(float(factors[0]), DIGITS),
        factor_upper=round(float(factors[1]), DIGITS),
        updated_to=last.isoformat(),
        coverage_before=float(inside["before"].to_numpy().mean()),
        coverage_after=float(inside["after"].to_numpy().mean()),
    )


def write(folder: Path, horizon: str, tracked: Tracked | None) -> None:
    """Put the factors of a horizon into `intervals.json`, or take them out."""
    path = folder / FILE
    corrections: dict[str, Any] = {}
    if path.exists():
        corrections = json.loads(path.read_text(encoding="utf-8"))
    corrections.pop(horizon, None)
    if tracked is not None:
        corrections[horizon] = asdict(tracked)
    with tables.replacing(path) as new:
        new.write_text(json.dumps(corrections, indent=2, sort_keys=True) + "\n", encoding="utf-8")
