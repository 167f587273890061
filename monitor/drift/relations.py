"""The part of each feature that the other features do not explain.

A year's volatility moves so slowly that a window of fifty sessions has a single level of it, and
this level alone shows no drift. But a feature whose feed broke no longer fits the other features.
The residual of a regression of each feature on all others shows that, and its distribution is
compared like that of the feature itself.
"""

from collections.abc import Sequence

import numpy as np

from monitor.drift.ks_distance import Floats
from monitor.drift.reference_folds import Fold

PENALTY = 0.01
"""Ridge, in units of the variance of a feature: many features are nearly sums of others."""


def standardised(values: Floats, mean: Floats, deviation: Floats) -> Floats:
    """Values less a mean, in standard deviations; 0 where that is 0."""
    shifted: Floats = values - mean
    return np.divide(shifted, deviation, out=np.zeros_like(shifted), where=deviation > 0)


def coefficients(values: Floats, penalty: float = PENALTY) -> Floats:
    """The matrix that turns standardised rows into residuals.

    Column j of the inverse covariance, divided by its diagonal, is 1 at j and minus the
    coefficients of the regression of feature j on the others elsewhere (Lauritzen, 1996, 5.1.3).
    """
    covariance = values.T @ values / len(values)
    inverse = np.linalg.inv(covariance + penalty * np.eye(values.shape[1]))
    result: Floats = inverse / np.diag(inverse)
    return result


def residuals(values: Floats, folds: Sequence[Fold]) -> Floats:
    """Residuals of a reference, each by a regression that saw neither its rows nor their years.

    Without that, windows of the reference would fit better than any new one.

    Args:
        values: standardised, of shape (rows, features), sorted by session.
        folds: of the rows.
    """
    result = np.empty_like(values)
    for fold in folds:
        result[fold.own] = values[fold.own] @ coefficients(values[fold.others])
    return result


def without(values: Floats, matrix: Floats, places: Sequence[int]) -> Floats:
    """Rows with some features replaced by what the others predict, so that these have no residual.

    Args:
        values: standardised, of shape (rows, features).
        matrix: of `coefficients`.
        places: numbers of those features.
    """
    chosen = np.array(places, int)
    others = np.setdiff1d(np.arange(values.shape[1]), chosen)
    result = values.copy()
    known = values[:, others] @ matrix[np.ix_(others, chosen)]
    result[:, chosen] = -known @ np.linalg.inv(matrix[np.ix_(chosen, chosen)])
    return result
