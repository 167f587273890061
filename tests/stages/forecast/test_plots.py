from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.forecast.evaluation import plots
from stages.forecast.evaluation.combine import Chosen
from tests import panels

FIRST = date(2010, 1, 1)


def stack(seed: int, dates: int, symbols: int, digits: int = 6) -> pl.DataFrame:
    """Held-out rows of a forecast, their probabilities rounded to so many digits."""
    rng = np.random.default_rng(seed)
    rows = dates * symbols
    return pl.DataFrame(
        {
            "symbol": np.repeat([f"S{i}" for i in range(symbols)], dates),
            "date": [FIRST + timedelta(days=i % dates) for i in range(rows)],
            "target": rng.normal(0, 0.02, rows),
            "forecast": rng.normal(0, 0.01, rows).astype(np.float32),
            "lower": rng.normal(-0.03, 0.01, rows).astype(np.float32),
            "upper": rng.normal(0.03, 0.01, rows).astype(np.float32),
            "probability": rng.uniform(0.3, 0.7, rows).round(digits).astype(np.float32),
            "scale": rng.choice([0.001, 0.01, 0.02], rows).astype(np.float32),
        }
    )


def chosen(**weights: float) -> Chosen:
    return Chosen("average", weights, {}, np.empty(0), "average", None)


def test_the_forecast_is_that_of_the_first_symbol_beside_the_outcome() -> None:
    rows = stack(0, dates=5, symbols=3).sample(fraction=1, shuffle=True, seed=1)
    plot = plots.forecast_and_outcome(rows)
    assert plot.columns == ["symbol", "date", "outcome", "forecast", "lower", "upper"]
    own = rows.filter(symbol="S0").sort("date")
    assert plot["date"].to_list() == [FIRST + timedelta(days=day) for day in range(5)]
    assert plot["outcome"].to_list() == own["target"].to_list()
    for name in ("forecast", "lower", "upper"):
        assert plot[name].to_list() == own[name].to_list()


@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 5))
@panels.examples(30)
def test_residuals_are_a_histogram_of_shares(seed: int, dates: int, symbols: int) -> None:
    rows = stack(seed, dates, symbols)
    plot = plots.residuals(rows)
    assert plot.height == 32
    assert plot["share"].sum() == pytest.approx(1)
    scale = rows["scale"].to_numpy().astype(np.float64)
    scaled = (rows["target"].to_numpy() - rows["forecast"].to_numpy()) / scale
    units = scaled / scaled.std() if scaled.std() > 0 else scaled
    for centre, share in plot.iter_rows():
        low, high = centre - 0.125, centre + 0.125
        # What lies beyond the ends is counted in them.
        low, high = (-np.inf if low <= -4 else low), (np.inf if high >= 4 else high)
        assert share == pytest.approx(((units >= low) & (units < high)).mean())


@given(st.integers(0, 2**32), st.integers(1, 300), st.sampled_from([1, 2, 6]))
@panels.examples(40)
def test_calibration_compares_what_was_said_with_what_came(
    seed: int, dates: int, digits: int
) -> None:
    rows = stack(seed, dates, 1, digits)
    plot = plots.calibration(rows)
    assert plot.columns == ["forecast", "observed", "rows"]
    assert 1 <= plot.height <= plots.BINS
    assert plot["rows"].sum() == dates
    assert plot["forecast"].is_sorted()
    observed, forecast, counts = (
        plot[name].to_numpy() for name in ("observed", "forecast", "rows")
    )
    assert observed @ counts == pytest.approx((rows["target"] > 0).sum())
    assert forecast @ counts == pytest.approx(rows["probability"].to_numpy().astype(float).sum())
    if digits == 6 and dates >= plots.BINS:
        assert np.ptp(counts) <= 1


def test_calibration_does_not_depend_on_the_order_of_the_rows() -> None:
    rows = stack(0, 200, 2, digits=1)
    assert plots.calibration(rows.reverse()).equals(plots.calibration(rows))


def test_a_probability_that_never_varies_is_one_point() -> None:
    rows = stack(0, 100, 1).with_columns(probability=pl.lit(0.5))
    plot = plots.calibration(rows)
    assert plot.rows() == [(0.5, (rows["target"] > 0).mean(), 100)]


def test_importances_are_weighted_as_the_stack_is() -> None:
    importance = pl.DataFrame(
        {
            "feature": ["x", "y", "z"],
            "a": [0.7, 0.2, 0.1],
            "b": [0.0, 0.5, 0.5],
        }
    )
    plot = plots.weighted_importance(importance, chosen(mean=0.6, a=0.1, b=0.3))
    assert plot["feature"].to_list() == ["y", "z", "x"]
    assert plot["importance"].to_list() == pytest.approx([0.425, 0.4, 0.175])
    # Where the mean alone is served, each candidate counts alike.
    equal = plots.weighted_importance(importance, chosen(mean=1, a=0, b=0))
    assert equal["feature"].to_list() == ["x", "y", "z"]
    assert equal["importance"].to_list() == pytest.approx([0.35, 0.35, 0.3])


def test_skill_per_fold_leaves_out_what_was_not_forecast() -> None:
    folds = pl.DataFrame(
        {
            "fold": [1, 1, 2, 2],
            "target": [0.01, -0.01, 0.02, 0.0],
            "mean": [0.0, 0.0, 0.01, 0.01],
            "stack": [np.nan, np.nan, 0.02, 0.0],
            "a": [0.01, 0.01, 0.01, 0.01],
        }
    )
    plot = plots.fold_skill(folds, ["stack", "mean", "a"])
    assert plot.columns == ["fold", "model", "oos_r2"]
    assert plot.rows() == [
        (2, "stack", 1.0),
        (1, "mean", 0.0),
        (2, "mean", 0.0),
        (1, "a", pytest.approx(-1.0)),
        (2, "a", 0.0),
    ]


@pytest.mark.parametrize("symbols", [1, 200])
def test_plots_are_small_whatever_the_panel(symbols: int) -> None:
    rows = stack(0, dates=50, symbols=symbols).with_columns(pit=0.5)
    folds = rows.select("target", fold=pl.int_range(pl.len()) % 5, mean=0.0, a="forecast")
    importance = pl.DataFrame({"feature": ["x", "y"], "a": [0.4, 0.6]})
    tables = plots.of(rows, folds, ["mean", "a"], importance, chosen(mean=0.5, a=0.5))
    assert {name: frame.height for name, frame in tables.items()} == {
        "forecast": 50,
        "residuals": 32,
        "calibration": 10,
        "pit": 20,
        "coverage": 1 + 3,
        "importance": 2,
        "folds": 2 * 5,
    }
