"""Combine candidates and the historical mean into one forecast, learned on fold predictions only.

Estimated weights often lose to the plain average (Timmermann, Forecast Combinations, 2006), and
both often lose to the historical mean (Welch and Goyal, 2008). So all three compete: each is
learned on earlier folds and scored on the next, and the winner is then shrunk to the mean.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from stages.forecast.contract import Vector

Days = npt.NDArray[np.int32]
Predictions = npt.NDArray[np.float64]
Weights = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Problem:
    """What a method learns from: what each candidate says beyond the mean, and what came.

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
    """

    method: str
    weights: Mapping[str, float]
    errors: Mapping[str, float]
    unseen: Vector


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


def combine(predictions: FoldPredictions, shrinkage: float) -> Chosen:
    """Choose and learn the weights.

    A method is scored on each fold but the first by weights learned on the folds before it,
    purged: only rows whose target was known when the fold began. Ties go to the simpler method.
    """
    unseen = {
        name: _walk_forward(method, predictions, shrinkage) for name, method in METHODS.items()
    }
    errors = {name: _error(predictions.target, unseen[name]) for name in METHODS}
    best = min(("mean", "average", "learned"), key=lambda name: errors[name])
    weights = METHODS[best](_problem(predictions, slice(None), shrinkage))
    named = dict(zip(predictions.names, map(float, weights), strict=True))
    named = {"mean": 1 - sum(named.values()), **named}
    return Chosen(best, named, errors, unseen[best])


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
