from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from scipy import stats

from stages.forecast.contract import Vector
from stages.forecast.scoring import distribution
from stages.forecast.scoring.distribution import LOSSES, PINBALL, REGIMES
from stages.forecast.scoring.spread import GRID, Spread

LEVELS = np.linspace(0, 1, GRID)


def rows(target: Vector, scale: Vector) -> pl.DataFrame:
    count = len(target)
    forecast = np.full(count, 0.001)
    return pl.DataFrame(
        {
            "date": [date(2010, 1, 1) + timedelta(days=i) for i in range(count)],
            "target": target,
            "forecast": forecast,
            "lower": forecast - 1.645 * scale,
            "upper": forecast + 1.645 * scale,
            "scale": scale,
        }
    )


def normal() -> Spread:
    """Nearly a normal distribution; its ends are finite, as those of errors are."""
    return Spread(stats.norm.ppf(np.clip(LEVELS, 5e-4, 1 - 5e-4)), -1.645, 1.645)


def test_losses_are_those_of_each_row_in_units_of_return() -> None:
    rng = np.random.default_rng(0)
    scale = rng.uniform(0.005, 0.05, 4000)
    forecasts = rows(0.001 + scale * rng.normal(size=4000), scale)
    losses = distribution.with_losses(forecasts, normal(), 0.9)
    assert losses.columns == [*forecasts.columns, *LOSSES, "pit"]
    error = forecasts["target"].to_numpy() - 0.001
    for name, share in PINBALL.items():
        quantile = scale * stats.norm.ppf(share)
        expected = np.where(error > quantile, share, share - 1) * (error - quantile)
        assert losses[name].to_numpy() == pytest.approx(expected, abs=1e-9)
    # E|X - y| - E|X - X'| / 2 of a normal distribution, in closed form.
    z = error / scale
    exact = scale * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - np.pi**-0.5)
    assert losses["crps"].to_numpy().mean() == pytest.approx(exact.mean(), rel=0.01)
    assert losses["pit"].to_numpy() == pytest.approx(stats.norm.cdf(z), abs=2e-3)


def test_the_integral_transform_of_a_right_distribution_is_uniform() -> None:
    rng = np.random.default_rng(1)
    scale = rng.uniform(0.005, 0.05, 5000)
    right = rows(0.001 + scale * rng.normal(size=5000), scale)
    losses = distribution.with_losses(right, normal(), 0.9)
    assert stats.kstest(losses["pit"], "uniform").pvalue > 0.01
    shares = distribution.pit_histogram(losses)
    assert shares.height == distribution.PIT_BINS
    assert shares["share"].mean() == pytest.approx(1)
    # Outcomes that spread twice as far fall into the ends.
    wide = rows(0.001 + 2 * scale * rng.normal(size=5000), scale)
    ends = distribution.pit_histogram(distribution.with_losses(wide, normal(), 0.9))["share"]
    assert min(ends[0], ends[-1]) > 2


def test_coverage_by_year_and_by_scale() -> None:
    count = 900
    scale = np.tile([0.01, 0.02, 0.03], count // 3)
    target = np.zeros(count)
    # The wild third is missed half of the time, and the year 2011 wholly.
    target[(scale == 0.03) & (np.arange(count) % 2 == 0)] = 1.0
    forecasts = rows(target, scale)
    forecasts = forecasts.with_columns(
        target=pl.when(pl.col("date").dt.year() == 2011).then(1.0).otherwise("target")
    )
    shares = distribution.coverage(forecasts)
    assert shares["part"].to_list() == ["2010", "2011", "2012", *REGIMES]
    assert shares["rows"].to_list() == [365, 365, 170, 300, 300, 300]
    by_part = dict(shares.select("part", "coverage").iter_rows())
    assert by_part["2011"] == 0
    known = forecasts.filter(pl.col("date").dt.year() == 2010)
    inside = known["target"].is_between(known["lower"], known["upper"]).mean()
    assert by_part["2010"] == pytest.approx(inside)
    assert by_part["wild"] < by_part["usual"]
    widths = shares["width"].to_list()[-3:]
    assert widths == pytest.approx([2 * 1.645 * value for value in (0.01, 0.02, 0.03)])
