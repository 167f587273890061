"""Any two revisions on the rows of the hold-out that both have: is one better by more than chance?

The same rows and the same jackknife as between champion and challenger, without live forecasts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from monitor.retraining import cached_outputs, contestant, paired_rows, paired_scores
from monitor.retraining.paired_rows import Side
from monitor.retraining.paired_scores import Difference, Score
from monitor.settings import MonitorError
from stages.forecast.scoring.spread import interval_score

ERROR = 0.05
"""Chance that the bounds of a difference leave out the true one, half of it on each side."""


@dataclass(frozen=True)
class HoldOutPair:
    """Two revisions, `champion` the first and `challenger` the second, on the same rows.

    Attributes:
        rows: that both have.
        restated: rows that both have with different outcomes, which are left out.
        own: rows of the hold-out of each.
        first, last: the dates of the rows; None without any.
        differences: by score, second less first, with bounds of 95 %. All but `coverage` are losses
            or, like `auc`, better if higher.
    """

    rows: int
    restated: int
    own: tuple[int, int]
    first: date | None
    last: date | None
    differences: Mapping[str, Difference]


def compare(one: str, other: str, horizon: str, root: Path) -> HoldOutPair:
    """Compare two revisions.

    Args:
        one: a commit; empty for the working tree.
        other: likewise.
        horizon: of both.
        root: of the project.

    Raises:
        VersionError: a revision is unknown or has no dvc.lock.
        MonitorError: the horizons differ, or the forecasts of one are not in the cache.
    """
    both = [
        contestant.at(name, root) if name else contestant.present(root) for name in (one, other)
    ]
    lengths = [each.horizons.get(horizon) for each in both]
    if lengths[0] is None or lengths[0] != lengths[1]:
        raise MonitorError(
            f"horizon {horizon} has {lengths[0]} sessions in one and {lengths[1]} in the other: "
            "their forecasts are of different returns"
        )
    sides = [cached_outputs.side(each, horizon) for each in both]
    return pair(sides[0], sides[1], lengths[0], [each.level for each in both])


def pair(one: Side, other: Side, sessions: int, levels: list[float]) -> HoldOutPair:
    """Compare two sets of forecasts.

    Args:
        one: what the first forecast on its hold-out.
        other: the second.
        sessions: length of the horizon.
        levels: of the intervals of each; where they differ, intervals are not compared.
    """
    rows, restated = paired_rows.held_out(one, other)
    scores: dict[str, Score] = {
        paired_rows.score_name(one, other): paired_scores.loss,
        "squared_error": squared_error,
        "brier": paired_scores.brier,
        "auc": paired_scores.area,
    }
    if levels[0] == levels[1]:
        scores["interval_score"] = lambda rows, side: interval_loss(rows, side, levels[0])
        scores["coverage"] = paired_scores.coverage
    first, last = paired_rows.dates(rows)
    return HoldOutPair(
        rows=rows.height,
        restated=restated,
        own=(_count(one), _count(other)),
        first=first,
        last=last,
        differences={
            name: paired_scores.compare(rows, score, sessions, ERROR / 2)
            for name, score in scores.items()
        },
    )


def _count(side: Side) -> int:
    return side.forecasts["target"].drop_nulls().len()


def squared_error(rows: pl.DataFrame, side: str) -> float | None:
    """Mean squared error."""
    if rows.is_empty():
        return None
    error = rows["target"].to_numpy() - rows[f"{side}_forecast"].to_numpy()
    return float((error**2).mean())


def interval_loss(rows: pl.DataFrame, side: str, level: float) -> float | None:
    """Mean interval score."""
    if rows.is_empty():
        return None
    target, lower, upper = (
        rows[name].to_numpy() for name in ("target", f"{side}_lower", f"{side}_upper")
    )
    return float(interval_score(target, lower, upper, level).mean())
