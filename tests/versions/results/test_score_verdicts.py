"""Marks and verdicts: no more is claimed than the scores bear."""

import pytest

from versions.results import score_verdicts
from versions.results.formats import COLUMNS


def scores_of(**models: dict[str, float | None]) -> score_verdicts.Scores:
    undefined: dict[str, float | None] = {column.name: None for column in COLUMNS}
    baselines: dict[str, dict[str, float | None]] = {
        "zero": {"oos_r2": -0.1, "auc": 0.5},
        "mean": {"oos_r2": 0.0, "auc": 0.5},
    }
    return {name: undefined | row for name, row in {**models, **baselines}.items()}


def test_the_best_of_a_column_is_marked_if_it_has_skill() -> None:
    scores = scores_of(
        ridge={"oos_r2": 0.02, "p_value": 0.01, "auc": 0.52},
        xgboost={"oos_r2": 0.01, "p_value": 0.01, "auc": 0.53},
    )
    assert score_verdicts.marked(scores) == {("ridge", "oos_r2"), ("xgboost", "auc")}


@pytest.mark.parametrize(
    "row",
    [
        {"oos_r2": 0.01, "p_value": 0.06, "auc": 0.6},
        {"oos_r2": 0.01, "p_value": None, "auc": 0.6},
        {"oos_r2": -0.01, "p_value": 0.001, "auc": 0.6},
    ],
)
def test_nothing_is_marked_where_nobody_beats_the_mean(row: dict[str, float | None]) -> None:
    assert score_verdicts.marked(scores_of(ridge=row)) == set()


def test_the_best_is_not_marked_where_a_baseline_is_as_good() -> None:
    scores = scores_of(ridge={"oos_r2": 0.02, "p_value": 0.01, "auc": 0.5})
    assert score_verdicts.marked(scores) == {("ridge", "oos_r2")}


def test_the_second_best_does_not_inherit_the_mark_of_one_without_skill() -> None:
    scores = scores_of(
        ridge={"oos_r2": 0.01, "p_value": 0.01, "auc": 0.52},
        lucky={"oos_r2": -0.01, "p_value": 0.5, "auc": 0.55},
    )
    assert score_verdicts.marked(scores) == {("ridge", "oos_r2")}


@pytest.mark.parametrize(
    ("skill", "p_value", "sessions", "facts"),
    [
        (0.012, 0.03, 63, ("beats the historical mean (", "R2 +0.0120, p 0.030")),
        (0.012, 0.2, 1, ("by no more than chance", "R2 +0.0120, p 0.200")),
        (-0.012, 0.0001, 1, ("does not beat the historical mean", "R2 -0.0120, p <0.001")),
        (0.03, 0.0001, 1, ("too good to be true", "R2 +0.0300, p <0.001")),
        (0.03, 0.0001, 63, ("beats the historical mean (", "R2 +0.0300, p <0.001")),
        (0.0, None, 1, ("is the historical mean: no candidate earned a weight",)),
        (0.01, None, 63, ("cannot be tested on so few sessions", "R2 +0.0100, p -")),
        (None, None, 1, ("held-out targets do not vary",)),
    ],
)
def test_the_verdict_is_honest(
    skill: float | None, p_value: float | None, sessions: int, facts: tuple[str, ...]
) -> None:
    line = score_verdicts.of_forecast({"oos_r2": skill, "p_value": p_value}, sessions)
    assert [fact for fact in facts if fact not in line] == []


def test_a_rank_ic_that_is_too_good_is_a_leak_too() -> None:
    row = {"oos_r2": 0.012, "p_value": 0.001, "rank_ic": 0.11}
    assert "too good to be true: look for a leak" in score_verdicts.of_forecast(row, 1)
    assert "beats the historical mean (" in score_verdicts.of_forecast(row, 63)


@pytest.mark.parametrize(
    ("skill", "p_value", "says"),
    [
        (0.0086, 0.0001, "beats the better baseline (CRPS -0.86 %, p <0.001)"),
        (0.0086, 0.2, "beats the better baseline by no more than chance"),
        (-0.02, 0.9, "does not beat the better baseline (CRPS +2.00 %, p 0.900)"),
        (None, None, "cannot be tested"),
        (0.0, None, "cannot be tested"),
    ],
)
def test_whether_the_distribution_beats_its_baselines_is_one_line(
    skill: float | None, p_value: float | None, says: str
) -> None:
    line = score_verdicts.of_distribution({"crps_skill": skill, "crps_p_value": p_value})
    assert says in line


@pytest.mark.parametrize(
    ("p_values", "facts"),
    [
        # Two tries: the smallest p-value counts twice.
        ((0.02, 0.5), ("beats holding (sign: Sharpe +0.90, holding +0.40, p 0.040)",)),
        ((0.03, 0.5), ("does not beat holding by more than chance", "p 0.060")),
        ((0.7, None), ("does not beat holding by more than chance", "p 0.700")),
        ((0.9, 0.8), ("mean_variance: Sharpe", "p 1.000")),
        ((None, None), ("cannot be compared with holding",)),
    ],
)
def test_the_verdict_on_trading_counts_the_tries(
    p_values: tuple[float | None, float | None], facts: tuple[str, ...]
) -> None:
    names = ("sign", "mean_variance")
    portfolios: dict[str, dict[str, float | None]] = {
        name: {"sharpe": 0.9, "sharpe_gain": 0.5, "p_value": p_value}
        for name, p_value in zip(names, p_values, strict=True)
    }
    line = score_verdicts.of_trading(portfolios | {"equal_weight": {"sharpe": 0.4}})
    assert [fact for fact in facts if fact not in line] == []
