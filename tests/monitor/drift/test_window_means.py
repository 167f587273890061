"""Shifts of features that move slowly are found by the means of the others."""

import numpy as np
import pytest

from monitor.drift import reference_folds, window_means
from monitor.drift.ks_distance import Floats, Rows
from monitor.drift.window_means import Levels

SIZE, FALSE_ALARMS = 50, 0.05


def slow(rows: int, seed: int) -> Floats:
    """A level that moves within hundreds of rows, one that follows it with noise, and a constant.

    Both have a standard deviation near 1, in a window hardly less than over all rows.
    """
    random = np.random.default_rng(seed)
    level = np.zeros(rows + 1_000)
    noise = random.normal(size=(2, rows + 1_000))
    for row in range(1, len(level)):
        level[row] = 0.99 * level[row - 1] + 0.141 * noise[0, row]
    level = level[1_000:]
    return np.column_stack([level, level + 0.5 * noise[1, 1_000:], np.full(rows, 3.0)])


def calibrated(values: Floats) -> Levels:
    parts = reference_folds.split(np.arange(len(values)))
    begins = np.random.default_rng(0).integers(0, len(values) - SIZE + 1, 300)
    windows: Rows = begins[:, None] + np.arange(SIZE)
    own = np.searchsorted([part.own.start for part in parts], begins + SIZE // 2, "right") - 1
    return window_means.calibrate(
        window_means.of(values, windows),
        window_means.outside(windows, parts),
        own,
        len(values) / SIZE,
        FALSE_ALARMS,
    )


def test_a_shift_within_the_range_of_its_feature_is_found_and_no_more_alarms_than_stated() -> None:
    false = hits = 0
    rounds = 50
    for seed in range(rounds):
        values = slow(3_000, seed)
        levels, window = calibrated(values[:-SIZE]), values[-SIZE:].mean(axis=0)
        false += bool(levels.drifted(window, []))
        # Its own mean would be usual.
        hits += bool(levels.drifted(window + np.array([1, 0, 0]), []))
    assert false <= FALSE_ALARMS * rounds + 2 * (FALSE_ALARMS * (1 - FALSE_ALARMS) * rounds) ** 0.5
    assert hits >= 0.95 * rounds


@pytest.fixture(scope="module")
def levels() -> Levels:
    return calibrated(slow(3_000, 0))


def test_a_feature_that_is_known_to_be_shifted_explains_the_rest(levels: Levels) -> None:
    window = levels.mean + np.array([1, 0, 0])
    (named,) = levels.drifted(window, [])
    assert named in {0, 1}
    assert levels.drifted(window, [1 - named]) == []
    assert levels.drifted(window, [2]) == [named]
    assert levels.drifted(levels.mean, []) == []


def test_the_share_that_is_as_different_is_the_stated_one_where_drift_begins(
    levels: Levels,
) -> None:
    assert levels.share_as_different(1.0) == pytest.approx(FALSE_ALARMS, abs=0.01)
    assert levels.share_as_different(0.0) == 1
    beyond = 2 * float(levels.greatest[-1])
    assert levels.share_as_different(beyond) == pytest.approx(0.5 / (levels.independent + 1))
    assert levels.share_as_different(float("nan")) == 1


def test_a_constant_feature_has_no_residual(levels: Levels) -> None:
    assert levels.residuals(levels.mean + np.array([0, 0, 5]))[2] == 0
