"""The delayed quantile tracker of intervals."""

import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from monitor.performance import interval_tracker
from monitor.performance.interval_tracker import Tracked

FIRST = date(2010, 1, 1)


def rows(
    outcomes: np.ndarray[tuple[int, int], np.dtype[np.float64]], sessions: int
) -> pl.DataFrame:
    """Forecasts of 0 with an interval from -1.645 to 1.645; outcomes by date and symbol."""
    dates, symbols = outcomes.shape
    days = [FIRST + timedelta(days=n) for n in range(dates) for _ in range(symbols)]
    return pl.DataFrame(
        {
            "symbol": [str(n) for n in range(symbols)] * dates,
            "date": days,
            "target_date": [day + timedelta(days=sessions) for day in days],
            "target": outcomes.reshape(-1),
            "forecast": 0.0,
            "lower": -1.645,
            "upper": 1.645,
            "level": 0.9,
            "model_md5": "a",
        }
    )


@pytest.mark.parametrize("sessions", [1, 20])
def test_coverage_returns_to_its_level_after_the_scale_has_changed(sessions: int) -> None:
    random = np.random.default_rng(0)
    outcomes = np.concatenate((random.normal(0, 1, (200, 4)), random.normal(0, 2, (1800, 4))))
    tracked = interval_tracker.track(rows(outcomes, sessions), sessions, 0.1, 1000)
    assert tracked is not None
    assert tracked.coverage_before == pytest.approx(0.59, abs=0.03)
    assert tracked.coverage_after == pytest.approx(0.9, abs=0.02)
    assert tracked.factor_lower == pytest.approx(2, abs=0.4)
    assert tracked.factor_upper == pytest.approx(2, abs=0.4)


def test_each_side_has_its_own_factor() -> None:
    outcomes = np.abs(np.random.default_rng(1).normal(0, 2, (1000, 4)))
    tracked = interval_tracker.track(rows(outcomes, 1), 1, 0.1, 200)
    assert tracked is not None
    assert tracked.factor_lower < 0.5
    assert tracked.factor_upper > 1.5


def test_an_outcome_counts_for_forecasts_made_when_it_was_known_and_not_before() -> None:
    """Every outcome lies above: with a delay of five, the first five are all one miss late."""
    outcomes = np.full((12, 1), 100.0)
    steps = []
    for dates in range(1, 13):
        tracked = interval_tracker.track(rows(outcomes[:dates], 5), 5, 0.5, 1)
        assert tracked is not None
        steps.append(tracked.factor_upper)
    # A step of 0.5 over the root of 5 a date, less the share that is to lie beyond.
    assert steps == pytest.approx([1 + 0.5 / 5**0.5 * 0.95 * n for n in range(1, 13)], abs=1e-6)
    # Beyond the model's own upper bound by a hair: a miss only while no factor is known.
    edge = np.full((12, 1), 1.645 * 1.01)
    at_edge = interval_tracker.track(rows(edge, 5), 5, 0.5, 12)
    assert at_edge is not None
    assert at_edge.coverage_before == 0
    # Date 0 falls due on date 5: forecasts of dates 0 to 4 cannot know it.
    assert at_edge.coverage_after == pytest.approx(7 / 12)
    # Five misses of a factor of 1, also those that fall due when the factor is greater by then.
    moved = 0.5 / 5**0.5 * (5 * 0.95 - 7 * 0.05)
    assert at_edge.factor_upper == pytest.approx(1 + moved, abs=1e-6)


def test_rows_without_width_give_no_factor() -> None:
    flat = rows(np.zeros((3, 1)), 1).with_columns(lower=pl.lit(0.0))
    assert interval_tracker.track(flat, 1, 0.1, 10) is None


def test_the_file_keeps_the_horizons_of_others(tmp_path: Path) -> None:
    tracked = Tracked("a" * 32, 1.1, 0.9, "2012-12-31", 0.85, 0.9)
    interval_tracker.write(tmp_path, "short", tracked)
    interval_tracker.write(tmp_path, "long", tracked)
    interval_tracker.write(tmp_path, "short", None)
    content = json.loads((tmp_path / "intervals.json").read_bytes())
    assert list(content) == ["long"]
    assert content["long"]["factor_upper"] == 0.9
    assert content["long"]["updated_to"] == "2012-12-31"
