import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, norm

from stages.forecast.scoring.spread import GRID, crps, interval_score, pinball, spread
from tests import panels


def of(residuals: list[float], level: float) -> tuple[float, float]:
    """The bounds of an interval, from residuals that are scaled already."""
    quantiles = spread(np.array(residuals, dtype=np.float64), level)
    return quantiles.lower, quantiles.upper


@pytest.mark.parametrize(
    ("count", "level", "ranks"),
    [
        # n = 19, 90 %: (n + 1) 0.05 = 1 and (n + 1) 0.95 = 19, the smallest and the largest.
        (19, 0.9, (1, 19)),
        # n = 39: 2 and 38.
        (39, 0.9, (2, 38)),
        # n = 40: floor(2.05) = 2 and ceil(38.95) = 39.
        (40, 0.9, (2, 39)),
        # n = 99, 80 %: 10 and 90.
        (99, 0.8, (10, 90)),
        # Too few residuals for the level: all that there are.
        (5, 0.9, (1, 5)),
        (1, 0.5, (1, 1)),
    ],
)
def test_bounds_have_the_ranks_of_a_finite_sample(
    count: int, level: float, ranks: tuple[int, int]
) -> None:
    residuals = np.random.default_rng(0).permutation(count) + 1.0
    assert of(residuals.tolist(), level) == ranks


@given(
    st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=300),
    st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99]),
)
@panels.examples(100)
def test_an_interval_holds_its_level_of_its_own_residuals(
    residuals: list[float], level: float
) -> None:
    lower, upper = of(residuals, level)
    inside = sum(lower <= residual <= upper for residual in residuals)
    needed = math.ceil((len(residuals) + 1) * level - 1e-9)
    assert inside >= min(needed - 1, len(residuals))
    assert lower <= upper
    assert {lower, upper} <= set(residuals)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
def test_new_outcomes_fall_inside_as_often_as_the_level_says(level: float) -> None:
    rng = np.random.default_rng(0)
    count, new = 400, 100
    inside = 0
    repeats = 200
    for _ in range(repeats):
        scale = rng.uniform(0.005, 0.05, count + new)
        forecast = rng.normal(0, 0.01, count + new)
        # Skewed and with fat tails: nothing but exchangeability is assumed.
        target = forecast + scale * (
            rng.exponential(1, count + new) - rng.standard_t(3, count + new)
        )
        quantiles = spread(((target - forecast) / scale)[:count], level)
        later = slice(count, None)
        inside += int(
            (
                (forecast[later] + quantiles.lower * scale[later] <= target[later])
                & (target[later] <= forecast[later] + quantiles.upper * scale[later])
            ).sum()
        )
    # Each repeat shares its bounds, so its outcomes vary together: a deviation of the rank.
    deviation = math.sqrt(level * (1 - level) * (1 / (repeats * new) + 1 / (repeats * count)))
    assert abs(inside / (repeats * new) - level - 1 / count) < 4 * deviation + 1 / count


def test_one_new_outcome_falls_inside_by_chance_alone() -> None:
    rng = np.random.default_rng(1)
    repeats, level = 3000, 0.8
    hits = 0
    for _ in range(repeats):
        residuals = rng.standard_t(2, 50)
        lower, upper = of(residuals[:49].tolist(), level)
        hits += bool(lower <= residuals[49] <= upper)
    # (49 + 1) 0.1 = 5 and 45: exactly 40 of the 50 places of a new one are inside.
    assert binom.ppf(1e-4, repeats, level) <= hits <= binom.ppf(1 - 1e-4, repeats, level)


@given(st.integers(0, 2**32), st.integers(1, 500))
@panels.examples(50)
def test_the_grid_are_the_quantiles_of_the_errors(seed: int, count: int) -> None:
    scaled = np.random.default_rng(seed).standard_t(3, count)
    quantiles = spread(scaled, 0.9)
    assert quantiles.grid == pytest.approx(np.percentile(scaled, np.linspace(0, 100, GRID)))
    assert (np.diff(quantiles.grid) >= 0).all()
    assert (quantiles.grid[0], quantiles.grid[-1]) == (min(scaled), max(scaled))
    assert quantiles.lower in scaled
    assert quantiles.upper in scaled


# --- scores of a distribution


def test_the_interval_score_by_hand() -> None:
    actual = np.array([0.0, -0.3, 0.5])
    # Inside: the width alone. Outside: 2 / 0.1 times what it is outside by.
    scores = interval_score(actual, np.full(3, -0.2), np.full(3, 0.4), 0.9)
    assert scores == pytest.approx([0.6, 0.6 + 20 * 0.1, 0.6 + 20 * 0.1])


def test_the_interval_score_is_the_sum_of_two_pinball_losses() -> None:
    """Gneiting and Raftery (2007), section 6.2, times the 2 / alpha that they leave out."""
    rng = np.random.default_rng(0)
    actual, lower, upper = rng.normal(size=(3, 200))
    lower, upper = np.minimum(lower, upper), np.maximum(lower, upper)
    losses = pinball(actual, lower, 0.05) + pinball(actual, upper, 0.95)
    assert interval_score(actual, lower, upper, 0.9) == pytest.approx(losses * 2 / 0.1)


@given(st.integers(0, 2**32), st.integers(1, 60))
@panels.examples(50)
def test_crps_is_the_area_between_two_distributions(seed: int, points: int) -> None:
    """By its definition: the integral of (F(x) - 1{x >= y})^2, exact between the points."""
    rng = np.random.default_rng(seed)
    grid = np.sort(np.round(rng.normal(size=points), int(rng.integers(0, 4))))
    outcomes = np.append(rng.normal(0, 2, 20), grid[0])
    for outcome, loss in zip(outcomes, crps(outcomes, grid), strict=True):
        edges = np.sort(np.append(grid, outcome))
        share = np.array([(grid <= edge).mean() for edge in edges[:-1]])
        area = (share - (edges[:-1] >= outcome)) ** 2 * np.diff(edges)
        assert loss == pytest.approx(area.sum(), abs=1e-12)


def test_crps_of_a_normal_distribution_is_the_closed_form() -> None:
    levels = (np.arange(20_000) + 0.5) / 20_000
    grid, outcome = norm.ppf(levels), np.array([-1.3, 0.0, 0.4, 3.0])
    expected = outcome * (2 * norm.cdf(outcome) - 1) + 2 * norm.pdf(outcome) - 1 / np.sqrt(np.pi)
    assert crps(outcome, grid) == pytest.approx(expected, abs=1e-3)


def test_the_median_costs_half_the_absolute_error() -> None:
    error = np.array([-2.0, 0.0, 3.0])
    assert pinball(error, np.zeros(3), 0.5) == pytest.approx(np.abs(error) / 2)
