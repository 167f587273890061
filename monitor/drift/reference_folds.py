"""Folds of a reference by time, each with the rows that are far enough away to be new to it."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

COUNT = 10


class Fold(NamedTuple):
    """A stretch of sessions.

    Attributes:
        own: its rows.
        others: whether a row is outside by at least a quarter of a fold.
    """

    own: slice
    others: NDArray[np.bool_]


def split(sessions: NDArray[np.int64]) -> list[Fold]:
    """Folds of equally many sessions.

    Args:
        sessions: the number of each row's session, ascending from 0.
    """
    total = int(sessions[-1]) + 1
    bounds = np.linspace(0, total, COUNT + 1).astype(int)
    gap = total // (4 * COUNT)
    return [
        Fold(
            slice(*np.searchsorted(sessions, (begin, end)).tolist()),
            (sessions < begin - gap) | (sessions >= end + gap),
        )
        for begin, end in pairwise(bounds.tolist())
        if end > begin
    ]
