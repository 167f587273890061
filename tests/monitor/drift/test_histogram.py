"""Histograms of a feature, in a window and in its reference."""

import numpy as np

from monitor.drift import histogram


def test_histograms_count_every_row_of_both_on_the_same_bins() -> None:
    generator = np.random.default_rng(0)
    reference, window = generator.normal(0, 1, 5_000), generator.normal(3, 1, 200)
    window[0] = 1e9
    both = histogram.of(window, reference)
    assert len(both.reference) == len(both.window) == histogram.BINS
    assert (sum(both.reference), sum(both.window)) == (5_000, 200)
    # One wild value does not squeeze all others into a single bin.
    assert -4 < both.low < both.high < 7
    assert both.window[-1] >= 1
    middle = histogram.BINS // 2
    assert sum(both.window[middle:]) > 150
    assert sum(both.reference[:middle]) > 4_000


def test_a_constant_has_a_histogram() -> None:
    constant = histogram.of(np.full(40, 0.5), np.full(400, 0.5))
    assert (constant.low, constant.high) == (0.0, 1.0)
    assert max(constant.window) == 40
