"""How the values of a feature are spread, in a window and in its reference."""

from dataclasses import dataclass

import numpy as np

from monitor.drift.ks_distance import Floats

BINS = 20
"""Of a histogram."""

TAILS = 0.01
"""Share of the values, one at least, that lies beyond the bins of a histogram on each side."""


@dataclass(frozen=True)
class Histogram:
    """How the values of a feature are spread, in `BINS` bins of the same width.

    Attributes:
        low, high: ends of the bins; what lies beyond is counted in the outer ones.
        reference, window: rows of each bin.
    """

    low: float
    high: float
    reference: tuple[int, ...]
    window: tuple[int, ...]


def of(window: Floats, reference: Floats) -> Histogram:
    """The histogram of a feature.

    Args:
        window: its values there, at least one.
        reference: likewise.
    """
    low = min(float(np.quantile(part, TAILS, method="higher")) for part in (window, reference))
    high = max(float(np.quantile(part, 1 - TAILS, method="lower")) for part in (window, reference))
    if low == high:
        low, high = low - 0.5, high + 0.5
    counts = [
        tuple(np.histogram(np.clip(part, low, high), BINS, (low, high))[0].tolist())
        for part in (reference, window)
    ]
    return Histogram(low, high, *counts)
