"""Scores of champion and challenger on the same rows, and how far their difference may be chance.

Bounds come from a jackknife over spans of sessions (Künsch, 1989): each span is left out once, so
that symbols of one day and overlapping targets count as the few independent observations that they
are. Nothing is drawn at random.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import stdtrit

from stages.forecast.scoring.scores import auc, long_run_variance

SPANS = 20
"""Spans of the jackknife at most; a span is at least as long as the horizon."""

LEAST_SPANS = 4

Score = Callable[[pl.DataFrame, str], float | None]


@dataclass(frozen=True)
class Difference:
    """A score of both, and challenger less champion with one-sided bounds of some error.

    Bounds are None where there are too few independent spans.
    """

    champion: float | None
    challenger: float | None
    low: float | None
    high: float | None

    @property
    def value(self) -> float | None:
        """Challenger less champion."""
        if self.champion is None or self.challenger is None:
            return None
        return self.challenger - self.champion

    def numbers(self) -> dict[str, float | None]:
        """For JSON."""
        return {**asdict(self), "difference": self.value}


def compare(rows: pl.DataFrame, score: Score, sessions: int, error: float) -> Difference:
    """A score of both sides, with bounds of the difference.

    Args:
        rows: of `paired_rows`, sorted by date.
        score: of rows and the name of a side; None if it is not defined.
        sessions: length of the horizon.
        error: chance of each bound to be on the wrong side.
    """
    one, other = score(rows, "champion"), score(rows, "challenger")
    if one is None or other is None:
        return Difference(one, other, None, None)
    spans = _spans(rows, sessions)
    count = int(spans.max()) + 1 if len(spans) else 0
    if count < LEAST_SPANS:
        return Difference(one, other, None, None)
    left_out = []
    for span in range(count):
        rest = rows.filter(pl.Series(spans != span))
        pair = score(rest, "champion"), score(rest, "challenger")
        if pair[0] is None or pair[1] is None:
            return Difference(one, other, None, None)
        left_out.append(pair[1] - pair[0])
    values = np.asarray(left_out)
    variance = (count - 1) / count * float(((values - values.mean()) ** 2).sum())
    reach = float(stdtrit(count - 1, 1 - error)) * variance**0.5
    return Difference(one, other, other - one - reach, other - one + reach)


def _spans(rows: pl.DataFrame, sessions: int) -> npt.NDArray[np.int64]:
    """The span of each row: spans of equally many dates."""
    days = rows["date"].rank("dense").to_numpy().astype(np.int64) - 1
    dates = int(days.max()) + 1 if len(days) else 0
    count = min(SPANS, dates // max(1, sessions))
    return days * count // dates if count else np.zeros(len(days), np.int64)


def f1(rows: pl.DataFrame, side: str) -> float | None:
    """F1 of rises and of falls, averaged.

    F1 of rises alone would be 0.68 for a model that always says up.
    """
    parts = [_hits(rows, side, rose=rose) for rose in (True, False)]
    if any(claimed + happened == 0 for _, claimed, happened in parts):
        return None
    return float(np.mean([2 * hits / (claimed + happened) for hits, claimed, happened in parts]))


def recall(rows: pl.DataFrame, side: str) -> float | None:
    """Recall of rises and of falls, averaged: 0.5 for a model that always says the same."""
    parts = [_hits(rows, side, rose=rose) for rose in (True, False)]
    if any(happened == 0 for _, _, happened in parts):
        return None
    return float(np.mean([hits / happened for hits, _, happened in parts]))


def _hits(rows: pl.DataFrame, side: str, *, rose: bool) -> tuple[int, int, int]:
    claimed = (rows[f"{side}_probability"] > 0.5) == rose  # noqa: PLR2004  # more likely than not
    happened = (rows["target"] > 0) == rose
    return int((claimed & happened).sum()), int(claimed.sum()), int(happened.sum())


def area(rows: pl.DataFrame, side: str) -> float | None:
    """AUC of the event that the return is above zero."""
    return auc(rows[f"{side}_probability"], (rows["target"] > 0).to_numpy())


def brier(rows: pl.DataFrame, side: str) -> float | None:
    """Brier score of the same event."""
    if rows.is_empty():
        return None
    gap = rows[f"{side}_probability"].to_numpy() - (rows["target"] > 0).to_numpy()
    return float(np.square(gap).mean())


def coverage(rows: pl.DataFrame, side: str) -> float | None:
    """Share of outcomes in the interval."""
    if rows.is_empty():
        return None
    inside = rows["target"].is_between(rows[f"{side}_lower"], rows[f"{side}_upper"])
    return float(inside.to_numpy().mean())


def loss(rows: pl.DataFrame, side: str) -> float | None:
    """The primary score."""
    return None if rows.is_empty() else float(rows[f"{side}_loss"].to_numpy().mean())


def gains(rows: pl.DataFrame, margin: float = 0.0) -> pl.DataFrame:
    """`date, gain`: what the challenger saves of the champion's loss, averaged over symbols.

    Args:
        rows: of `paired_rows`.
        margin: share of the champion's loss that it may lose before a gain counts as negative.
    """
    saved = (1 + margin) * pl.col("champion_loss") - pl.col("challenger_loss")
    return rows.group_by("date").agg(saved.mean().alias("gain")).sort("date")


def bounds(
    values: npt.NDArray[np.float64], sessions: int, error: float
) -> tuple[float, float] | None:
    """One-sided bounds of the mean of a daily series, by the t test of `scores.clark_west`.

    Returns:
        The lower and the upper one; None if there are too few values.
    """
    if len(values) < LEAST_SPANS * max(1, sessions):
        return None
    variance, freedom = long_run_variance(values, sessions)
    reach = float(stdtrit(freedom, 1 - error)) * (variance / len(values)) ** 0.5
    return float(values.mean()) - reach, float(values.mean()) + reach
