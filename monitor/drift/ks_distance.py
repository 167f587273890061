"""The distance of a window from its reference: the statistic of Kolmogorov and Smirnov.

The greatest difference of two empirical distributions. It lies in [0, 1], any growing function of
the values leaves it as it is, and heavy tails do not move it: on windows of returns it found
shifts of the mean far better than Wasserstein's distance, which volatile months decide.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


def distance(values: Floats, ordered: Floats) -> float:
    """The distance of values from a reference.

    Args:
        values: at least one, in any order.
        ordered: values of the reference, ascending.

    Returns:
        What `scipy.stats.ks_2samp` calls the statistic.
    """
    values = np.sort(values)
    below = np.searchsorted(ordered, values, "left") / len(ordered)
    upto = np.searchsorted(ordered, values, "right") / len(ordered)
    return float(_greatest(below[None], upto[None])[0])


def of_windows(values: Floats, windows: Rows) -> Floats:
    """The distance of each window of a reference from the rest of it.

    The rest has n' = N - n rows. If F is the distribution of all N rows and G that of a window, the
    rest has (N F - n G) / n', and so G differs from it by (G - F) N / n'.

    Args:
        values: of the reference, of shape (N,).
        windows: numbers of rows, of shape (windows, n), with n < N.
    """
    ordered, size = np.sort(values), len(values)
    below = np.sort((np.searchsorted(ordered, values, "left") / size)[windows], axis=1)
    upto = np.sort((np.searchsorted(ordered, values, "right") / size)[windows], axis=1)
    return _greatest(below, upto) * size / (size - windows.shape[1])


def _greatest(below: Floats, upto: Floats) -> Floats:
    """The greatest step between a window's own distribution and the reference at its values."""
    size = below.shape[1]
    steps = np.arange(size) / size
    return np.maximum((steps + 1 / size - upto).max(axis=1), (below - steps).max(axis=1))
