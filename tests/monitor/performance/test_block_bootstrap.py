"""Intervals of live scores by blocks of sessions."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from monitor.performance import block_bootstrap
from monitor.performance.block_bootstrap import Blocks
from stages.forecast.scoring.distribution import with_losses
from stages.forecast.scoring.scores import scores
from stages.forecast.scoring.spread import Spread

SYMBOLS = ("A", "B", "C")


def rows(dates: int, sessions: int = 1, seed: int = 0) -> pl.DataFrame:
    """Forecasts of sums of so many normal steps, common to the symbols in part."""
    random = np.random.default_rng(seed)
    steps = random.normal(0, 0.02, (dates + sessions, 3)) + random.normal(
        0, 0.02, (dates + sessions, 1)
    )
    sums = np.cumsum(np.vstack((np.zeros(3), steps)), axis=0)
    target = (sums[sessions:] - sums[:-sessions])[:dates]
    days = [date(2010, 1, 1) + timedelta(days=n) for n in range(dates)]
    guess = np.round(random.normal(0, 0.01, dates * 3), 3)
    frame = pl.DataFrame(
        {
            "symbol": SYMBOLS * dates,
            "date": [day for day in days for _ in SYMBOLS],
            "target": target.reshape(-1),
            "forecast": guess,
            "lower": guess - 0.03,
            "upper": guess + 0.03,
            # Rounded, so that some are equal.
            "probability": np.round(0.5 + 5 * guess, 2),
            "scale": 0.02,
            "mean": 0.001,
            "base_crps": 0.01,
        }
    )
    return with_losses(frame, Spread(np.linspace(-2, 2, 201), -1.5, 1.5), 0.9)


def test_every_date_once_gives_the_scores_of_the_pipeline() -> None:
    frame = rows(40)
    resampled_scores = block_bootstrap.resampled(frame, np.ones((1, 40)))
    wanted = scores(frame, 1)
    assert len(resampled_scores) == 14
    for name, values in resampled_scores.items():
        assert values[0] == pytest.approx(wanted[name], rel=1e-12), name


def test_a_date_drawn_twice_counts_twice() -> None:
    frame = rows(3)
    counts = np.array([[2.0, 0.0, 1.0]])
    days = frame["date"].unique().sort()
    twice = pl.concat([frame.filter(pl.col("date") == days[n]) for n in (0, 0, 2)])
    wanted = scores(twice, 1)
    for name, values in block_bootstrap.resampled(frame, counts).items():
        assert values[0] == pytest.approx(wanted[name], rel=1e-12), name


def test_blocks_are_as_long_as_the_overlap_and_every_draw_has_all_dates() -> None:
    blocks = Blocks(sessions=20, resamples=50, seed=0)
    counts = blocks.counts(100)
    assert counts.shape == (50, 100)
    assert (counts.sum(axis=1) == 100).all()
    # Five blocks of 20 around a circle: the count changes at ten places at most.
    changes = (counts != np.roll(counts, 1, axis=1)).sum(axis=1)
    assert changes.max() <= 10
    assert Blocks(1, 50, 0).length(1000) == 10


def test_the_interval_holds_the_truth_of_overlapping_targets() -> None:
    """The share of rises is one half; rows drawn one by one would hold it in a third of samples."""
    covered = 0
    for seed in range(20):
        frame = rows(400, sessions=10, seed=seed)
        ends = block_bootstrap.intervals(frame, Blocks(10, 200, 0))["direction"]
        covered += ends[0] <= 0.5 <= ends[1]
    assert covered >= 16


def test_too_few_dates_or_one_class_have_no_interval() -> None:
    assert block_bootstrap.intervals(rows(19), Blocks(10, 100, 0)) == {}
    rising = rows(50).with_columns(pl.col("target").abs() + 1e-6)
    intervals = block_bootstrap.intervals(rising, Blocks(1, 100, 0))
    assert "auc" not in intervals
    assert "recall" in intervals


def test_the_seed_decides() -> None:
    frame = rows(50)
    first, again, other = (
        block_bootstrap.intervals(frame, Blocks(1, 100, seed)) for seed in (0, 0, 1)
    )
    assert first == again != other
