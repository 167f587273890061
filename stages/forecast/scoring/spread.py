"""How sure a forecast may be: the distribution of its errors, divided by their scale."""

import math
from dataclasses import dataclass

import numpy as np

from stages.forecast.contract import Vector

GRID = 201
"""Points of the distribution of errors from which the probability is read, half a percent apart."""


@dataclass(frozen=True)
class Spread:
    """How wrong a forecast has been: errors divided by their scale.

    Attributes:
        grid: quantiles at evenly spaced levels from 0 to 1, for the probability.
        lower, upper: quantiles of the interval.
    """

    grid: Vector
    lower: float
    upper: float


def spread(scaled: Vector, level: float) -> Spread:
    """Quantiles for split-conformal intervals (Lei et al., 2018).

    Args:
        scaled: errors on rows that the forecast had not seen, divided by their scale, (rows,).
        level: share of outcomes that the interval is to hold.

    Returns:
        Quantiles of the scaled errors. The ranks of the bounds carry the finite-sample correction:
        of n errors, the ceil((n + 1) q)-th from below and, for the lower bound, from above.
    """
    scaled = np.sort(scaled)
    count = len(scaled)
    # A level such as 0.9 is not exact: a whole rank must not become the next one.
    rank = min(math.ceil((count + 1) * (1 + level) / 2 - 1e-9), count)
    return Spread(
        grid=np.quantile(scaled, np.linspace(0, 1, GRID)),
        lower=float(scaled[count - rank]),
        upper=float(scaled[rank - 1]),
    )


def interval_score(actual: Vector, lower: Vector, upper: Vector, level: float) -> Vector:
    """Width of an interval plus what an outcome outside it costs (Gneiting and Raftery, 2007)."""
    missed = np.maximum(lower - actual, 0) + np.maximum(actual - upper, 0)
    score: Vector = upper - lower + 2 / (1 - level) * missed
    return score


def crps(scaled: Vector, grid: Vector) -> Vector:
    """Continuous ranked probability score of a distribution of equally likely points.

    E|X - y| - E|X - X'| / 2 (Gneiting and Raftery, 2007, eq. 21), in the unit of `scaled`; times
    the scale, it is in units of return.

    Args:
        scaled: errors divided by their scale, (rows,).
        grid: the points, ascending.
    """
    count, sums = len(grid), np.concatenate(([0.0], np.cumsum(grid)))
    below = np.searchsorted(grid, scaled)
    distance = scaled * (2 * below - count) + sums[-1] - 2 * sums[below]
    # The mean distance of two points, from their order alone.
    apart = 2 * float((2 * np.arange(1, count + 1) - count - 1) @ grid) / count**2
    score: Vector = distance / count - apart / 2
    return score


def pinball(error: Vector, quantile: Vector, level: float) -> Vector:
    """Cost of a quantile of errors (Koenker and Bassett, 1978), in their unit."""
    beyond = error - quantile
    cost: Vector = np.maximum(level * beyond, (level - 1) * beyond)
    return cost
