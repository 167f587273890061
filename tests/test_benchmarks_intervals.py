"""The benchmark of the interval's scale, on made-up prices and on the sample."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmarks import intervals
from stages.common.sections import load
from stages.evaluate import Settings

COUNT, KNOWN = 3_000, 2_000
FIRST = date(2000, 1, 1)


@pytest.fixture(scope="module")
def prices() -> pl.DataFrame:
    """Closes whose volatility is that of a GARCH(1,1), and `volatility` of the next return."""
    draws = np.random.default_rng(0).standard_normal(COUNT)
    variance, returns = np.full(COUNT + 1, 1e-4), np.zeros(COUNT)
    for number, draw in enumerate(draws):
        returns[number] = np.sqrt(variance[number]) * draw
        variance[number + 1] = 5e-6 + 0.1 * returns[number] ** 2 + 0.85 * variance[number]
    return pl.DataFrame(
        {
            "symbol": "A",
            "date": [FIRST + timedelta(days) for days in range(COUNT + 1)],
            "adj_close": np.cumprod([1.0, *(1 + returns)]),
            "volatility": np.sqrt(variance),
        }
    )


def test_a_garch_finds_the_volatility_of_the_next_return(prices: pl.DataFrame) -> None:
    scales = intervals.garch(prices, [FIRST + timedelta(KNOWN)], 1)
    assert scales["date"].to_list() == prices["date"].to_list()[KNOWN:]
    true = prices["volatility"][KNOWN:]
    assert (scales[intervals.GARCH] / true).is_between(0.85, 1.15).all()


def test_over_many_sessions_a_garch_returns_to_its_mean(prices: pl.DataFrame) -> None:
    day, month = (
        intervals.garch(prices, [FIRST + timedelta(KNOWN)], sessions)[intervals.GARCH].to_numpy()
        for sessions in (1, 63)
    )
    # The true variance is 5e-6 / (1 - 0.95) in the long run.
    assert np.mean(month / 63**0.5) == pytest.approx(0.01, rel=0.1)
    assert np.std(month) / np.mean(month) < 0.7 * np.std(day) / np.mean(day)


def test_a_garch_knows_no_later_price(prices: pl.DataFrame) -> None:
    begins = [FIRST + timedelta(days) for days in (KNOWN, KNOWN + 500)]
    whole = intervals.garch(prices, begins, 5)
    assert whole.height == COUNT + 1 - KNOWN
    for days in (1, 400, 700):
        before = intervals.garch(prices.head(KNOWN + days), begins, 5)
        assert before.equals(whole.head(days))


def test_a_symbol_of_few_returns_has_no_garch_until_then(prices: pl.DataFrame) -> None:
    begins = [FIRST + timedelta(days) for days in (intervals.LEAST, intervals.LEAST + 1)]
    scales = intervals.garch(prices.head(400), begins, 1)
    assert scales["date"].min() == begins[1]


def test_the_served_scale_has_the_score_that_evaluate_gave_it(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained)
    losses = intervals.losses("short", load(Settings))
    served, *rivals = losses
    assert served.startswith("served: ")
    assert tuple(rivals) == intervals.RIVALS
    scores = pl.read_csv("metrics/short/scores.csv").row(0, named=True)
    assert scores["model"] == "stack"
    assert losses[served].interval == pytest.approx(scores["interval_score"], rel=1e-5)
    assert losses[served].crps == pytest.approx(scores["crps"], rel=1e-5)
    assert losses[served].coverage == pytest.approx(scores["coverage"], abs=1e-3)
    # On the sample no scale is worse than none.
    assert max(losses, key=lambda name: losses[name].interval) == "constant"
