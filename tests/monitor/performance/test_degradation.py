"""Degradation is called against the hold-out, a yardstick and a tolerance."""

from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from monitor.performance import degradation

FIRST = date(2012, 1, 2)


def costs(ratios: npt.NDArray[np.float64], models: list[str]) -> pl.DataFrame:
    """Two symbols a date: the model's CRPS is that many times the yardstick's."""
    days = [FIRST + timedelta(days=n) for n in range(len(ratios))]
    base = 1 + 0.5 * np.random.default_rng(0).random(len(ratios))
    rows = pl.DataFrame(
        {"date": days, "model_md5": models, "crps": base * ratios, "base_crps": base},
        schema_overrides={"model_md5": pl.String},
    )
    twice = pl.concat([rows, rows]).sort("date")
    return degradation.excess(twice, {"a": 0.98, **{m: 1.0 for m in models if m != "a"}}, 0.02)


def noise(count: int, seed: int = 0) -> npt.NDArray[np.float64]:
    return np.random.default_rng(seed).normal(0, 0.05, count)


def test_what_a_model_may_cost_is_its_own_ratio_and_the_tolerance() -> None:
    rows = costs(np.array([0.98, 1.0]), ["a", "b"])
    assert rows["allowed"].to_list() == pytest.approx(
        [rows["base_crps"][0] * 0.98 * 1.02, rows["base_crps"][1] * 1.02]
    )
    assert rows["gain"].to_list() == pytest.approx((rows["crps"] - rows["allowed"]).to_list())


def test_rows_of_unknown_models_or_yardsticks_are_left_out() -> None:
    rows = pl.DataFrame(
        {
            "date": [FIRST] * 3,
            "model_md5": ["a", "c", "a"],
            "crps": [1.0, 1.0, np.nan],
            "base_crps": [1.0, 1.0, 1.0],
        }
    )
    assert degradation.excess(rows, {"a": 1.0}, 0.0)["crps"].to_list() == [1.0]
    assert degradation.excess(rows, {}, 0.0).is_empty()


def test_a_refit_is_judged_together_with_what_it_replaced() -> None:
    """No model of one week alone could ever be convicted."""
    count = 250
    models = [f"model {week}" for week in range(count // 5) for _ in range(5)]
    rows = costs(1.08 + noise(count), models)
    weeks = (degradation.judge(rows.head(dates), 1, 0.05) for dates in range(5, count, 5))
    verdict = next(week for week in weeks if week.degraded)
    assert verdict.since == FIRST
    assert verdict.evidence.dates > 50
    assert verdict.ratio == pytest.approx(1.08, abs=0.01)


def test_the_successor_of_a_degraded_model_begins_anew() -> None:
    bad, good = 1.15 + noise(150), 0.98 + noise(100, seed=1)
    rows = costs(np.concatenate((bad, good)), ["b"] * 150 + ["a"] * 100)
    assert degradation.judge(rows.head(150), 1, 0.05).degraded
    verdict = degradation.judge(rows, 1, 0.05)
    assert not verdict.degraded
    assert verdict.since == FIRST + timedelta(days=150)
    assert verdict.evidence.dates == 100


def test_nothing_is_judged_without_dates() -> None:
    verdict = degradation.judge(costs(np.empty(0), []), 1, 0.05)
    assert (verdict.degraded, verdict.since, verdict.ratio) == (False, None, None)
