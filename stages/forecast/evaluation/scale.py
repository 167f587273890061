"""How far a return will spread: a log-linear model of the size of a forecast's error.

The size of the error is regressed on the logarithms of volatilities and ranges of several windows,
in the spirit of HAR (Corsi, 2009). On the folds it competes with simpler scales: a constant, and
each of these columns alone, an exponential average of squared returns (RiskMetrics, 1996) among
them. All are one form, so one graph computes any of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stages.forecast.contract import SMALLEST_SCALE, Matrix, Vector
from stages.forecast.scoring.spread import interval_score, spread

CONSTANT, HAR = "constant", "har"

STEPS = 50
"""Of Fisher scoring; it needs about ten."""

SETTLED = 1e-10
"""A step of the coefficients that changes nothing more."""


@dataclass(frozen=True)
class LogScale:
    """`exp(intercept + slope @ log(columns))`.

    Attributes:
        kind: `constant`, `har`, or the one column that it follows.
        names: the columns, all above zero or counted as `SMALLEST_SCALE`.
        slope: (columns,).
        intercept: of the logarithm.
    """

    kind: str
    names: Sequence[str]
    slope: Vector
    intercept: float

    def __call__(self, logs: Vector) -> Vector:
        """The scale of rows, in units of return, (rows,), from the columns' logarithms."""
        return np.maximum(np.exp(logs @ self.slope + self.intercept), SMALLEST_SCALE)


@dataclass(frozen=True)
class Errors:
    """A forecast's errors on rows that it had not seen, and what was known of the spread.

    Attributes:
        names: the columns.
        logs: their logarithms, (rows, columns).
        error: outcome less forecast, (rows,).
        fold: number of the fold, (rows,).
        dates, target_dates: in days since the epoch, (rows,).
    """

    names: Sequence[str]
    logs: Vector
    error: Vector
    fold: npt.NDArray[np.int32]
    dates: npt.NDArray[np.int32]
    target_dates: npt.NDArray[np.int32]


def logarithms(columns: Matrix) -> Vector:
    """Logarithms of volatilities or ranges, in double precision."""
    return np.log(np.maximum(columns.astype(np.float64), SMALLEST_SCALE))


def kinds(names: Sequence[str]) -> list[str]:
    """The scales that compete, the simpler ones first."""
    return [CONSTANT, *names, HAR]


def fit(kind: str, errors: Errors, shrinkage: float) -> LogScale:
    """Fit a scale of a kind to the sizes of errors.

    Args:
        kind: one of `kinds`.
        errors: whose sizes it is to match.
        shrinkage: pull of the coefficients of `har` to zero, in standard deviations of its columns.
    """
    size = np.maximum(np.abs(errors.error), SMALLEST_SCALE**2)
    if kind == HAR:
        slope, intercept = _regress(errors.logs, size, shrinkage)
        return LogScale(kind, errors.names, slope, intercept)
    slope = np.array([float(name == kind) for name in errors.names])
    level = float(size.mean() / np.exp(errors.logs @ slope).mean())
    return LogScale(kind, errors.names, slope, float(np.log(level)))


def choose(errors: Errors, shrinkage: float, level: float) -> tuple[str, Mapping[str, float]]:
    """Choose a kind of scale by the interval score on folds that it had not seen.

    Each fold but the first is scored by a scale and quantiles of the folds before it, purged: only
    rows whose target was known when the fold began. Ties go to the simpler scale.

    Returns:
        The kind, and the mean interval score of each; without a second fold all are infinite.
    """
    scores = {kind: _unseen(kind, errors, shrinkage, level) for kind in kinds(errors.names)}
    return min(scores, key=lambda kind: scores[kind]), scores


def _unseen(kind: str, errors: Errors, shrinkage: float, level: float) -> float:
    parts = []
    for number in np.unique(errors.fold)[1:]:
        valid = errors.fold == number
        begin = errors.dates[valid].min()
        known = (errors.fold < number) & (errors.target_dates < begin)
        if not known.any():
            continue
        scale = fit(kind, part(errors, known), shrinkage)
        quantiles = spread(errors.error[known] / scale(errors.logs[known]), level)
        reach = scale(errors.logs[valid])
        parts.append(
            interval_score(
                errors.error[valid], reach * quantiles.lower, reach * quantiles.upper, level
            )
        )
    return float(np.concatenate(parts).mean()) if parts else float("inf")


def part(errors: Errors, rows: npt.NDArray[np.bool_]) -> Errors:
    """Some of the rows."""
    return Errors(
        errors.names,
        errors.logs[rows],
        errors.error[rows],
        errors.fold[rows],
        errors.dates[rows],
        errors.target_dates[rows],
    )


def _regress(logs: Vector, size: Vector, shrinkage: float) -> tuple[Vector, float]:
    """Regress sizes on logarithms with a log link, by the likelihood of exponential sizes.

    This pseudo-likelihood finds the mean size whatever its distribution is (Gourieroux, Monfort and
    Trognon, 1984), so that no bias of a logarithm has to be corrected and an error of zero, whose
    logarithm would be infinite, is a row like others.

    Returns:
        Slope (columns,) and intercept.
    """
    centre, unit = logs.mean(axis=0), logs.std(axis=0)
    unit[unit == 0] = 1.0
    design = np.hstack([np.ones((len(logs), 1)), (logs - centre) / unit])
    penalty = np.diag([0.0, *[shrinkage] * logs.shape[1]])
    # Fisher scoring: with this likelihood the information does not depend on the coefficients.
    information = design.T @ design / len(design) + penalty
    weights = np.zeros(len(penalty))
    weights[0] = np.log(size.mean())
    for _ in range(STEPS):
        excess = size * np.exp(-(design @ weights)) - 1
        step = np.linalg.solve(information, design.T @ excess / len(design) - penalty @ weights)
        # A longer step would leave the range of exp.
        weights += np.clip(step, -1, 1)
        if np.abs(step).max() < SETTLED:
            break
    slope = weights[1:] / unit
    return slope, float(weights[0] - slope @ centre)
