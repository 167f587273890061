"""Walk-forward folds on the training rows, purged and embargoed."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Days = npt.NDArray[np.int32]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Fold:
    """Row numbers to train on and to validate on; `number` counts from 1 in time order."""

    number: int
    train: Rows
    valid: Rows


def walk_forward(
    dates: Days, target_dates: Days, folds: int, first: float, embargo: int
) -> Iterator[Fold]:
    """Expanding-window folds over the sessions of a training set.

    The oldest `first` share of the sessions is only trained on; the rest is cut into `folds`
    spans of equal length, each validated by a model that has seen only what came before.

    Args:
        dates: session of each row, in days since the epoch.
        target_dates: session at which each row's target is known.
        folds: number of validation spans.
        first: share of the sessions before the first span.
        embargo: sessions left out before each span, beyond the purge (Lopez de Prado, 2018).

    Yields:
        Folds in which every training target is known before the validation span, less the
        embargo, begins. A fold without training rows is left out.
    """
    sessions = np.unique(dates)
    start = int(len(sessions) * first)
    bounds = np.linspace(start, len(sessions), folds + 1).astype(int)
    for number, (begin, end) in enumerate(pairwise(bounds), start=1):
        if begin == end:
            continue
        valid = np.flatnonzero((dates >= sessions[begin]) & (dates <= sessions[end - 1]))
        cut = sessions[max(begin - embargo, 0)]
        train = np.flatnonzero(target_dates < cut)
        if len(train):
            yield Fold(number, train, valid)
