"""Evidence that may be looked at at any time: how often it is wrong, and how soon it is right."""

import math
from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from monitor.evidence import evidence
from monitor.settings import MonitorError

Array = npt.NDArray[np.float64]

ERROR = 0.05


def gains_of(values: Array) -> pl.DataFrame:
    """A table of gains, one a day."""
    first = date(2009, 1, 1)
    days = [first + timedelta(days=n) for n in range(len(values))]
    return pl.DataFrame(
        {"date": days, "gain": values}, schema={"date": pl.Date, "gain": pl.Float64}
    )


def garch(random: np.random.Generator, dates: int) -> Array:
    """Daily returns in percent: GARCH(1, 1) with noise of four degrees of freedom."""
    noise = random.standard_t(4, dates + 100) / math.sqrt(2)
    returns = np.empty_like(noise)
    variance = 1.0
    for place, shock in enumerate(noise):
        returns[place] = math.sqrt(variance) * shock
        variance = 0.02 + 0.08 * min(returns[place] ** 2, 50) + 0.9 * variance
    return returns[100:]


def equals(random: np.random.Generator, dates: int, sessions: int, known: float = 0.0) -> Array:
    """Squared error saved by a challenger that knows a part of each target, 0 for an equal one."""
    steps = garch(random, dates + sessions)
    sums = np.concatenate(([0.0], np.cumsum(steps)))
    target = (sums[sessions:] - sums[:-sessions])[:dates]
    champion, challenger = 0.3 * random.standard_normal((2, dates))
    part = known * random.standard_normal(dates)
    gain: Array = (target + part - champion) ** 2 - (target - challenger) ** 2
    return gain


@pytest.mark.parametrize("sessions", [1, 63])
def test_an_equal_challenger_is_seldom_found_better_however_often_one_looks(sessions: int) -> None:
    random = np.random.default_rng(0)
    convinced = [
        evidence(gains_of(equals(random, 1000, sessions)), sessions).convinces(ERROR)
        for _ in range(100)
    ]
    # `greatest` is of all dates so far: a look at the end sees every earlier one.
    assert np.mean(convinced) <= ERROR


def test_a_look_at_every_date_finds_what_the_last_one_does() -> None:
    gains = gains_of(equals(np.random.default_rng(1), 300, 5, known=1.0))
    looks = [evidence(gains.head(dates), 5).greatest for dates in range(gains.height + 1)]
    assert looks[0] == 1.0
    assert all(later >= earlier * (1 - 1e-12) for earlier, later in pairwise(looks))
    assert looks[-1] > looks[0]


def test_a_better_challenger_is_found_within_500_dates() -> None:
    random = np.random.default_rng(2)
    convinced = [
        evidence(gains_of(equals(random, 500, 1, known=0.6)), 1).convinces(ERROR) for _ in range(20)
    ]
    assert np.mean(convinced) >= 0.9


def test_what_turns_bad_after_years_is_found_sooner_by_new_bettors() -> None:
    random = np.random.default_rng(3)
    fine, bad = random.normal(-0.3, 1, 600), random.normal(0.5, 1, 250)
    gains = gains_of(np.concatenate((fine, bad)))
    assert not evidence(gains.head(600), 1, restart=63).convinces(ERROR)
    assert not evidence(gains, 1).convinces(ERROR)
    assert evidence(gains, 1, restart=63).convinces(ERROR)


def test_new_bettors_are_no_more_often_wrong() -> None:
    random = np.random.default_rng(4)
    convinced = [
        evidence(gains_of(equals(random, 1000, 1)), 1, restart=63).convinces(ERROR)
        for _ in range(100)
    ]
    assert np.mean(convinced) <= ERROR


@pytest.mark.parametrize(("sessions", "factor"), [(1, 1.0), (2, 2.0), (10, math.e)])
def test_streams_of_unknown_dependence_must_convince_by_more(sessions: int, factor: float) -> None:
    """Bonferroni's factor for two streams; e times the geometric mean of p-values for more."""
    alike = evidence(gains_of(np.full(50 * sessions, 0.3)), sessions)
    assert alike.greatest == pytest.approx(alike.e_value / factor, rel=0.2)
    assert alike.greatest < 1.0001 * alike.e_value / factor


def test_one_outcome_alone_never_convinces() -> None:
    random = np.random.default_rng(5)
    gains = random.normal(0, 1, 100)
    gains[50] = 1e9
    assert not evidence(gains_of(gains), 1).convinces(ERROR)


def test_a_bet_on_a_date_does_not_know_what_was_unknown_then() -> None:
    gains = np.random.default_rng(6).uniform(0.5, 1.5, 250)
    loss = gains.copy()
    loss[245] = -1000.0
    # Targets of ten sessions: on dates 246 to 249 nobody knows the outcome of 245, so it takes no
    # part in their scale; and a loss does not lower the greatest wealth of its own stream.
    before, after = evidence(gains_of(gains[:246]), 10), evidence(gains_of(loss), 10)
    gains[245] = 0.0
    assert after.greatest == evidence(gains_of(gains), 10).greatest > before.greatest


@pytest.mark.parametrize(
    ("gains", "dates"), [([], 0), ([1.0], 1), ([0.0] * 50, 50), ([1e-17] * 200, 200)]
)
def test_nothing_speaks_from_no_gains_one_gain_or_rounding(gains: list[float], dates: int) -> None:
    no_evidence = evidence(gains_of(np.array(gains)), 1)
    assert (no_evidence.e_value, no_evidence.greatest, no_evidence.dates) == (1.0, 1.0, dates)


def test_wealth_beyond_what_a_float_holds_is_infinite_not_an_error() -> None:
    strong = evidence(gains_of(np.tile([1.0, 1.1], 5000)), 1)
    assert strong.convinces(1e-300)


def test_a_date_twice_or_a_gain_that_is_no_number_is_named() -> None:
    twice = pl.DataFrame({"date": [date(2010, 6, 8)] * 2, "gain": [1.0, 2.0]})
    with pytest.raises(MonitorError, match="2010-06-08 appear twice"):
        evidence(twice, 1)
    with pytest.raises(MonitorError, match="2009-01-02 is nan"):
        evidence(gains_of(np.array([1.0, math.nan])), 1)
