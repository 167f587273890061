"""The distance is that of SciPy, for a window and for windows of a reference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from monitor.drift.ks_distance import Ranked, distance

SAMPLES = st.lists(st.integers(-3, 3), min_size=1, max_size=30)


@given(SAMPLES, SAMPLES)
def test_it_is_that_of_scipy_with_ties(window: list[int], reference: list[int]) -> None:
    values, others = np.array(window, float), np.array(reference, float)
    statistic = distance(values, np.sort(others))
    assert statistic == pytest.approx(ks_2samp(values, others).statistic)


@given(st.integers(0, 10_000), st.booleans())
def test_a_window_is_compared_with_the_rest_alone(seed: int, ties: bool) -> None:
    random = np.random.default_rng(seed)
    values = random.normal(size=60)
    if ties:
        values = values.round(0)
    windows = np.stack([np.sort(random.choice(60, 20, replace=False)) for _ in range(3)])
    ranked = Ranked(values)
    expected = [ks_2samp(values[own], np.delete(values, own)).statistic for own in windows]
    assert ranked.from_rest(windows) == pytest.approx(expected)
    others = random.random(60) < 0.5
    expected = [ks_2samp(values[own], values[others]).statistic for own in windows]
    assert ranked.from_others(windows, others) == pytest.approx(expected)
