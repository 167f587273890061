"""The distance of a window from its reference: the statistic of Kolmogorov and Smirnov.

The greatest difference of two empirical distributions. It lies in [0, 1], any increasing function
of the values leaves it as it is, and heavy tails do not move it: on windows of returns it found
shifts of the mean far better than Wasserstein's distance, which volatile months dominate.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


def distance(values: Floats, ordered: Floats) -> float:
    """The distance of a window from a reference.

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


class Ranked:
    """Values of a reference by their ranks, for the distances of many windows of it.

    Attributes:
        order: numbers of the rows, by value.
        below, upto: how many rows have a smaller value than each row, and how many no greater one.
    """

    def __init__(self, values: Floats) -> None:
        """Sort values of shape (N,)."""
        self.order = np.argsort(values)
        ordered = values[self.order]
        self.below = np.searchsorted(ordered, values, "left")
        self.upto = np.searchsorted(ordered, values, "right")

    def from_rest(self, windows: Rows) -> Floats:
        """The distance of each window from all rows but its own.

        The rest has n' = N - n rows. If F is the distribution of all N rows and G that of a window,
        the rest has (N F - n G) / n', and so G differs from it by (G - F) N / n'.

        Args:
            windows: numbers of rows, of shape (windows, n), with n < N.
        """
        size = len(self.order)
        whole = self.from_others(windows, np.ones(size, bool))
        result: Floats = whole * size / (size - windows.shape[1])
        return result

    def from_others(self, windows: Rows, others: NDArray[np.bool_]) -> Floats:
        """The distance of each window from some rows.

        Args:
            windows: numbers of rows, of shape (windows, n).
            others: which rows those are, of shape (N,).
        """
        counts = np.concatenate([[0], np.cumsum(others[self.order])])
        below, upto = (
            np.sort(counts[ranks[windows]], axis=1) / counts[-1]
            for ranks in (self.below, self.upto)
        )
        return _greatest(below, upto)


def _greatest(below: Floats, upto: Floats) -> Floats:
    """The greatest step between a window's own distribution and the reference at its values."""
    size = below.shape[1]
    steps = np.arange(size) / size
    result: Floats = np.maximum((steps + 1 / size - upto).max(axis=1), (below - steps).max(axis=1))
    return result
