"""Moving means, deviations and maxima, each from the rows of its own window alone.

A running sum carries the rounding errors of all earlier rows: after a crash from 1000 to 1 a moving
deviation is off by 4e-5, and on flat prices it is never 0 again. Here a window is put together
from windows of 1, 2, 4, ... rows: few passes, the small errors of pairwise summation, and a NaN
spoils the windows that hold it and no other.
"""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Moments = tuple[Array, Array]
"""Mean, and sum of squared deviations from it."""

_T = TypeVar("_T")


def mean(values: Array, window: int) -> Array:
    """Mean of each row and the `window - 1` rows before it; NaN where there are fewer."""
    result = np.full(values.size, np.nan)
    if window <= values.size:
        np.divide(_joined(values, window, _sum), window, out=result[window - 1 :])
    return result


def std(values: Array, window: int) -> Array:
    """Standard deviation of the same rows with `window - 1` in the denominator."""
    result = np.full(values.size, np.nan)
    if window <= values.size:
        _, squares = _joined((values, np.zeros_like(values)), window, _moments)
        np.sqrt(squares / (window - 1), out=result[window - 1 :])
    return result


def maximum(values: Array, window: int) -> Array:
    """Largest of the same rows."""
    result = np.full(values.size, np.nan)
    if window <= values.size:
        result[window - 1 :] = _joined(values, window, _larger)
    return result


def _joined(single: _T, window: int, join: Callable[[_T, int, _T, int], _T]) -> _T:
    """Combine the statistics of single rows into those of each window of `window` rows.

    Row i of the result is that of the window that begins at row i.
    """
    power, size = single, 1
    while not window & size:
        power, size = join(power, size, power, size), 2 * size
    result, rows = power, size
    while rows < window:
        power, size = join(power, size, power, size), 2 * size
        if window & size:
            result, rows = join(result, rows, power, size), rows + size
    return result


def _sum(first: Array, rows: int, second: Array, _: int) -> Array:
    return first[: second.size - rows] + second[rows:]


def _larger(first: Array, rows: int, second: Array, _: int) -> Array:
    return np.maximum(first[: second.size - rows], second[rows:])


def _moments(first: Moments, rows: int, second: Moments, more: int) -> Moments:
    """Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm, 1979."""
    count = second[0].size - rows
    gap = second[0][rows:] - first[0][:count]
    centre = gap * (more / (rows + more))
    centre += first[0][:count]
    gap *= gap
    gap *= rows * more / (rows + more)
    gap += first[1][:count]
    gap += second[1][rows:]
    return centre, gap
