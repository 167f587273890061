"""Two revisions on the same rows: a difference that is real is found, and one of chance is not."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from monitor.retraining import hold_out_pair
from monitor.retraining.paired_rows import Side
from monitor.settings import MonitorError
from tests.histories import Repository

FIRST = date(2012, 1, 2)
PARAMS = "horizons:\n  short: {sessions}\nevaluate:\n  level: 0.9\n"


def side(noise: float = 0.0, *, seed: int = 1, days: int = 300, spread: float = 0.02) -> Side:
    """Forecasts of three symbols of the same outcomes; the noise makes them worse."""
    drawn = np.random.default_rng(0)
    dates = pl.date_range(FIRST, FIRST + timedelta(days - 1), eager=True)
    parts = [
        pl.DataFrame(
            {
                "symbol": symbol,
                "date": dates,
                "target": drawn.normal(0, 0.02, 300)[:days],
                "forecast": noise * np.random.default_rng(seed).normal(size=days),
            }
        )
        for symbol in ("AAA", "BBB", "CCC")
    ]
    rows = pl.concat(parts).with_columns(
        lower=pl.col("forecast") - 1.645 * spread,
        upper=pl.col("forecast") + 1.645 * spread,
        probability=pl.lit(0.5),
        scale=pl.lit(spread),
    )
    return Side(rows, {"evaluated": {"residual_quantiles": np.linspace(-2, 2, 21).tolist()}})


def test_a_worse_forecast_is_worse_by_more_than_chance() -> None:
    pair = hold_out_pair.pair(side(), side(0.02), 1, [0.9, 0.9])
    assert (pair.rows, pair.restated, pair.own) == (900, 0, (900, 900))
    assert (pair.first, pair.last) == (FIRST, FIRST + timedelta(299))
    assert next(iter(pair.differences)) == "crps"
    for name in ("crps", "squared_error", "interval_score"):
        low = pair.differences[name].low
        assert low is not None
        assert low > 0
    errors = side().forecasts["target"].to_numpy() - side(0.02).forecasts["forecast"].to_numpy()
    challenger = pair.differences["squared_error"].challenger
    assert challenger == pytest.approx(float((errors**2).mean()))


def test_two_forecasts_of_equal_worth_differ_by_chance() -> None:
    pair = hold_out_pair.pair(side(0.005, seed=1), side(0.005, seed=2), 1, [0.9, 0.9])
    low, high = pair.differences["crps"].low, pair.differences["crps"].high
    assert low is not None
    assert high is not None
    assert low < 0 < high


def test_only_rows_that_both_have_are_compared() -> None:
    short = side(days=100)
    moved = short.forecasts.with_columns(pl.col("target") + 1)
    pair = hold_out_pair.pair(side(), short, 1, [0.9, 0.9])
    assert (pair.rows, pair.own) == (300, (900, 300))
    all_restated = hold_out_pair.pair(side(), Side(moved, short.card), 1, [0.9, 0.9])
    assert (all_restated.rows, all_restated.restated, all_restated.first) == (0, 300, None)
    assert all_restated.differences["crps"].value is None


def test_intervals_of_other_levels_are_not_compared() -> None:
    pair = hold_out_pair.pair(side(), side(0.01), 1, [0.9, 0.8])
    assert not {"interval_score", "coverage"} & set(pair.differences)


def test_long_targets_leave_too_few_spans_for_bounds() -> None:
    pair = hold_out_pair.pair(side(), side(0.01), 100, [0.9, 0.9])
    assert pair.differences["crps"].value is not None
    assert pair.differences["crps"].low is None


def test_horizons_of_other_lengths_are_refused(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    (tmp_path / "params.yaml").write_text(PARAMS.format(sessions=1), encoding="utf-8")
    first = repository.commit("stages: {}\n")
    (tmp_path / "params.yaml").write_text(PARAMS.format(sessions=5), encoding="utf-8")
    with pytest.raises(MonitorError, match=r"short has 1 sessions in one and 5 in the other"):
        hold_out_pair.compare(first, "", "short", tmp_path)
    with pytest.raises(MonitorError, match=r"no models/short/forecasts\.parquet"):
        hold_out_pair.compare(first, first, "short", tmp_path)
