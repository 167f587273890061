"""The part of the mean of each feature over a window that the other means do not explain.

The mean of a month's volatility moves from window to window by 0.8 standard deviations of its
values, so that a shift by one says nothing. The means of the other features explain it up to 0.14:
over a window the noise of single rows averages out, and the residual is far smaller than that of a
row.

A window has drifted if the greatest of its residuals, each in units of what is usual, is beyond
what windows of the reference have. That is a test of its own, with its own share of false alarms:
its tail is heavier than that of distances, and pooled with them by p-values a single crisis in the
reference would hide every shift.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monitor.drift import relations
from monitor.drift.ks_distance import Floats, Rows
from monitor.drift.reference_folds import Fold

PENALTY = 0.001
"""Ridge, in units of the variance of a mean: there are hardly more windows than features."""

USUAL = 0.9
"""The quantile of a feature's residuals that is its unit."""


@dataclass(frozen=True)
class Levels:
    """The regression of each mean on all others, and what windows without drift look like.

    Attributes:
        mean: of the means, of shape (features,).
        matrix: turns what differs from it into residuals; beyond 1 or -1 a feature has drifted.
        greatest: the greatest absolute residual of each drawn window, ascending.
        independent: how many windows fit side by side into the reference.
    """

    mean: Floats
    matrix: Floats
    greatest: Floats
    independent: float

    def residuals(self, means: Floats) -> Floats:
        """Absolute residuals of the means of one window, of shape (features,)."""
        result: Floats = np.abs((means - self.mean) @ self.matrix)
        return result

    def share_as_different(self, residual: float) -> float:
        """At most which share of windows without drift has such a residual of any feature."""
        if np.isnan(residual):
            return 1.0
        share = float(np.mean(self.greatest >= residual))
        if share:
            return (1 + self.independent * share) / (self.independent + 1)
        return float(self.greatest[-1]) / residual / (self.independent + 1)

    def drifted(self, means: Floats, known: Sequence[int]) -> list[int]:
        """The places of further features whose means do not fit the others.

        The worst is replaced first by what the others predict, because it disturbs the residuals
        of all features that it explains.

        Args:
            means: of a window.
            known: features that have drifted, which are replaced from the beginning.
        """
        # A constant feature explains nothing and is explained by nothing.
        drifted = [place for place in known if self.matrix[place, place]]
        begin = len(drifted)
        while len(drifted) < len(means):
            differs = relations.without((means - self.mean)[None], self.matrix, drifted)[0]
            residuals = self.residuals(self.mean + differs)
            # Theirs are zero but for rounding.
            residuals[drifted] = 0
            if residuals.max() <= 1:
                break
            drifted.append(int(np.argmax(residuals)))
        return drifted[begin:]


def of(values: Floats, windows: Rows) -> Floats:
    """The mean of each feature over each window.

    Args:
        values: of shape (rows, features).
        windows: numbers of rows, of shape (windows, n).
    """
    return np.array([values[window].mean(axis=0) for window in windows])


def calibrate(
    means: Floats, outside: Sequence[Rows], own: Rows, independent: float, false_alarms: float
) -> Levels:
    """Fit the regression, and set its unit so that the stated share of windows is beyond 1.

    Args:
        means: of drawn windows, of shape (windows, features).
        outside: by fold, numbers of the windows that have none of its years.
        own: the number of the fold of each window.
        independent: how many windows fit side by side into the reference.
        false_alarms: share of windows that may be beyond 1.
    """
    held_out = np.empty_like(means)
    for number in np.unique(own):
        mean, matrix = _regression(means[outside[number]])
        held_out[own == number] = np.abs((means[own == number] - mean) @ matrix)
    unit = np.quantile(held_out, USUAL, axis=0)
    greatest = np.sort(_divided(held_out, unit).max(axis=1))
    allowed = false_alarms * (independent + 1)
    limit = (
        float(np.quantile(greatest, 1 - (allowed - 1) / independent))
        if allowed >= 1
        # Fewer windows than the share asks for: beyond the most extreme one by as much.
        else float(greatest[-1]) / allowed
    )
    mean, matrix = _regression(means)
    return Levels(mean, _divided(matrix, unit * limit), greatest / limit, independent)


def outside(windows: Rows, folds: Sequence[Fold]) -> list[Rows]:
    """For each fold, the numbers of the windows that have none of its years."""
    return [np.flatnonzero(fold.others[windows].all(axis=1)) for fold in folds]


def _regression(means: Floats) -> tuple[Floats, Floats]:
    """The mean, and the matrix that turns what differs from it into residuals."""
    mean, deviation = means.mean(axis=0), means.std(axis=0)
    standard = relations.standardised(means, mean, deviation)
    matrix = relations.coefficients(standard, PENALTY)
    return mean, _divided(matrix.T, deviation).T


def _divided(values: Floats, units: Floats) -> Floats:
    """Each column in its unit; 0 where that is 0, as for a constant feature."""
    return np.divide(values, units, out=np.zeros_like(values), where=units > 0)
