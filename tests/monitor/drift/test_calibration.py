"""p-values, their correction, and the level that keeps the stated share of false alarms."""

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from monitor.drift import calibration


def test_a_p_value_is_a_rank_and_goes_on_falling_beyond_the_last() -> None:
    drawn = np.arange(1.0, 101)
    p = calibration.p_values(np.array([0.0, 50.5, 80.5, 95, 100, 120, 200, np.nan]), drawn)
    assert p[:3] == pytest.approx([1, 51 / 101, 21 / 101])
    assert (np.diff(p[:-1]) < 0).all()
    assert 0 < p[6] < 1e-4
    assert p[7] == 1


def test_what_was_constant_and_no_longer_is_cannot_be_by_chance() -> None:
    p = calibration.p_values(np.array([0.0, 0.01]), np.zeros(100))
    assert p.tolist() == [1, 0]


def test_the_correction_is_that_of_scipy() -> None:
    p = np.random.default_rng(0).uniform(size=(5, 12)) ** 3
    assert calibration.adjusted(p) == pytest.approx(false_discovery_control(p, axis=-1))


def test_windows_are_consecutive_rows_and_those_with_gaps_a_part_of_them() -> None:
    whole = calibration.draw(100, 10, 10, 50, seed=1)
    assert whole.shape == (50, 10)
    assert (np.diff(whole, axis=1) == 1).all()
    assert whole.min() >= 0
    assert whole.max() < 100
    gaps = calibration.draw(100, 10, 4, 50, seed=1)
    assert (np.diff(gaps, axis=1) >= 1).all()
    assert (gaps[:, -1] - gaps[:, 0] < 10).all()
    assert (calibration.draw(100, 10, 4, 50, seed=1) == gaps).all()


@pytest.mark.parametrize("independent", [8, 60])
def test_new_windows_raise_an_alarm_as_seldom_as_stated(independent: int) -> None:
    """Also where fewer windows fit into the reference than the share asks for."""
    random = np.random.default_rng(0)
    alarms, rounds, size = 0, 200, 20
    for _ in range(rounds):
        # Ten features with something in common; the statistic is the distance of two means.
        rows = random.normal(size=(size * (independent + 1), 1)) + random.normal(
            size=(size * (independent + 1), 10)
        )
        live, reference = rows[:size].mean(axis=0), rows[size:]
        windows = calibration.draw(len(reference), size, size, 200, seed=0)
        means = reference[windows].mean(axis=1)
        rest = (reference.sum(axis=0) - size * means) / (len(reference) - size)
        folds = 4 * windows[:, 0] // len(reference)
        others = [reference[4 * np.arange(len(reference)) // len(reference) != k] for k in range(4)]
        held_out = np.abs(means - np.stack([part.mean(axis=0) for part in others])[folds])
        calibrated = calibration.calibrate(np.abs(means - rest), held_out, folds, independent, 0.1)
        p = calibrated.p_values(np.abs(live - reference.mean(axis=0)))
        simes = calibration.adjusted(p).min()
        alarms += simes <= calibrated.level
        assert (simes <= calibrated.level) == (calibrated.share_as_different(simes) <= 0.1 + 1e-9)
    # Three standard deviations of a count with that chance. Few windows make it too careful.
    assert alarms / rounds < 0.1 + 3 * (0.09 / rounds) ** 0.5
    assert independent < 10 or alarms / rounds > 0.02
