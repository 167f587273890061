"""Combine candidates and the historical mean into one forecast, learned on fold predictions only.

Estimated weights often lose to the plain average (Timmermann, Forecast Combinations, 2006), and
both often lose to the historical mean (Welch and Goyal, 2008). So all three compete: each is
learned on earlier folds and scored on the next, and the winner is then shrunk to the mean. Noise
sometimes wins too, so the mean is served unless the candidates beat it by more than chance.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.optimize import nnls

from stages.forecast.contract import Vector
from stages.forecast.scoring.scores import clark_west

Days = npt.NDArray[np.int32]
Predictions = npt.NDArray[np.float64]
Weights = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Problem:
    """What a method learns from: what each candidate predicts beyond the mean, and the outcomes.

    Attributes:
        names: the candidates, (candidates,).
        excess: predictions less the historical mean, (rows, candidates).
        target: realised returns less the historical mean, (rows,).
        shrinkage: pull of learned weights to the plain average, 0 to 1.
    """

    names: list[str]
    excess: Predictions
    target: Vector
    shrinkage: float


Method = Callable[[Problem], Weights]


@dataclass(frozen=True)
class FoldPredictions:
    """Out-of-fold predictions of every candidate for the same rows.

    Attributes:
        names: the candidates; the column order of `values`.
        values: predictions, (rows, candidates).
        mean: the historical mean as it was known in each fold, (rows,).
        target: realised returns, (rows,).
        fold: number of the fold, (rows,).
        dates, target_dates: in days since the epoch, (rows,).
    """

    names: list[str]
    values: Predictions
    mean: Vector
    target: Vector
    fold: npt.NDArray[np.int32]
    dates: Days
    target_dates: Days


@dataclass(frozen=True)
class Chosen:
    """The combination that won.

    Attributes:
        method: `average`, `learned` or `mean`.
        weights: of the historical mean (`mean`), what the candidates leave of 1, and of every
            candidate.
        errors: mean squared error of each method on folds that it had not seen.
        unseen: the method's forecasts there, (rows,); NaN in the first fold, which comes before
            any weights.
        best: the method with the least error there; where its gain may be chance, `method` is
            `mean`.
        p_value: that the candidates know nothing that the mean does not (`chance`).
    """

    method: str
    weights: Mapping[str, float]
    errors: Mapping[str, float]
    unseen: Vector
    best: str
    p_value: float | None


def average(problem: Problem) -> Weights:
    """Equal weights, shrunk to the mean as the rows demand."""
    count = len(problem.names)
    weights = np.full(count, 1 / count)
    return weights * _slope(problem.excess @ weights, problem.target)


def learned(problem: Problem) -> Weights:
    """Non-negative least squares, at most 1 in all, pulled to the average by `shrinkage`."""
    weights: Weights = nnls(problem.excess, problem.target)[0]
    weights /= max(1.0, weights.sum())
    return (1 - problem.shrinkage) * weights + problem.shrinkage * average(problem)


def mean(problem: Problem) -> Weights:
    """Nothing but the historical mean."""
    return np.zeros(len(problem.names))


METHODS: dict[str, Method] = {"average": average, "learned": learned, "mean": mean}


def combine(
    predictions: FoldPredictions, shrinkage: float, significance: float, horizon: int
) -> Chosen:
    """Choose and learn the weights.

    A method is scored on each fold but the first by weights learned on the folds before it,
    purged: only rows whose target was known when the fold began. Ties go to the simpler method.
    The historical mean is served unless the winner beat it there and `chance` is small.

    Args:
        predictions: of every candidate.
        shrinkage: pull of learned weights to the plain average, 0 to 1.
        significance: largest p-value (`chance`) with which a combination is served; 1 serves any
            that beats the mean.
        horizon: in sessions, by which targets overlap.
    """
    unseen = {
        name: _walk_forward(method, predictions, shrinkage) for name, method in METHODS.items()
    }
    errors = {name: _error(predictions.target, unseen[name]) for name in METHODS}
    best = min(("mean", "average", "learned"), key=lambda name: errors[name])
    p_value = chance(predictions, horizon)
    sure = significance == 1 or (p_value is not None and p_value <= significance)
    method = best if sure else "mean"
    weights = METHODS[method](_problem(predictions, slice(None), shrinkage))
    named = dict(zip(predictions.names, map(float, weights), strict=True))
    named = {"mean": 1 - sum(named.values()), **named}
    return Chosen(method, named, errors, unseen[method], best, p_value)


def chance(predictions: FoldPredictions, horizon: int) -> float | None:
    """One-sided p-value that the plain average of the candidates knows no more than the mean.

    Its weights are not learned, so no fold was seen by it, and one test does not depend on which
    method won. Clark and West (2007), with the overlap of targets allowed for.

    Returns:
        The p-value, or None where the average is the mean itself or dates are too few to tell.
    """
    rows = pl.DataFrame(
        {
            "date": predictions.dates,
            "target": predictions.target,
            "mean": predictions.mean,
            "forecast": predictions.values.mean(axis=1),
        }
    )
    return clark_west(rows, horizon)


def combined(predictions: FoldPredictions, weights: Mapping[str, float]) -> Vector:
    """The combination's value for the fold rows."""
    column = np.array([weights[name] for name in predictions.names])
    value: Vector = predictions.mean + _excess(predictions) @ column
    return value


def _walk_forward(method: Method, predictions: FoldPredictions, shrinkage: float) -> Vector:
    """Forecast each fold by weights learned before it; NaN where there is nothing to learn from."""
    forecast = np.full(len(predictions.target), np.nan)
    for number in np.unique(predictions.fold)[1:]:
        valid = predictions.fold == number
        begin = predictions.dates[valid].min()
        known = (predictions.fold < number) & (predictions.target_dates < begin)
        if not known.any():
            continue
        weights = method(_problem(predictions, known, shrinkage))
        forecast[valid] = predictions.mean[valid] + _excess(predictions)[valid] @ weights
    return forecast


def _error(target: Vector, forecast: Vector) -> float:
    squared = (target - forecast)[np.isfinite(forecast)] ** 2
    return float(squared.mean()) if len(squared) else float("inf")


def _problem(
    predictions: FoldPredictions, rows: npt.NDArray[np.bool_] | slice, shrinkage: float
) -> Problem:
    target = predictions.target - predictions.mean
    return Problem(predictions.names, _excess(predictions)[rows], target[rows], shrinkage)


def _excess(predictions: FoldPredictions) -> Predictions:
    return predictions.values - predictions.mean[:, None]


def _slope(excess: Vector, target: Vector) -> float:
    """Least-squares factor of a forecast's excess over the mean, between 0 and 1."""
    power = float(excess @ excess)
    return float(np.clip(excess @ target / power, 0.0, 1.0)) if power > 0 else 0.0
