"""Three answers: noise never fails a challenger, and what is missing never passes one."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from monitor.evidence import Evidence
from monitor.retraining import gates, head_to_head, paired_rows, paired_scores
from monitor.retraining.gates import Gate
from monitor.retraining.head_to_head import HeadToHead, Horizon, Measured
from monitor.retraining.paired_rows import Side
from monitor.retraining.paired_scores import Difference
from stages.common import tables
from tests.monitor.arena import thresholds

PARAMS = thresholds().gates
MEASURED = Measured(
    due=400, labelled=300, oos_r2=0.001, quality=100.0, inference_ms=0.02, graph_mb=1.0
)
NONE = Evidence(1.0, 1.0, 0, None)
SURE = Evidence(50.0, 50.0, 300, 0.1)
FIRST = date(2012, 1, 2)
EMPTY = tables.empty(paired_rows.LIVE)


def same(value: float, reach: float = 0.001) -> Difference:
    """A score that is the same for both."""
    return Difference(value, value, -reach, reach)


def lost(value: float, loss: float, reach: float) -> Difference:
    """A score that is so much smaller, give or take."""
    return Difference(value, value - loss, -loss - reach, -loss + reach)


def equal() -> HeadToHead:
    """Two models of the same worth."""
    return HeadToHead(
        horizon="short",
        sessions=1,
        level=0.9,
        score="crps",
        held_out=900,
        live=100,
        restated=0,
        first=FIRST,
        last=date(2012, 12, 28),
        last_target=FIRST,
        loss=same(0.01),
        gain_bounds=(-0.00001, 0.00001),
        better=NONE,
        worse=NONE,
        no_worse=NONE,
        f1=same(0.5),
        recall=same(0.5),
        auc=same(0.5),
        brier=same(0.25),
        coverage=same(0.9),
        distance=same(0.0),
        shift=0.01,
        rank_ic=0.02,
        measured=MEASURED,
    )


def test_an_equal_refit_passes_every_gate_and_an_equal_change_does_not() -> None:
    assert gates.verdict(gates.judge(equal(), PARAMS, superior=False)) == "pass"
    unsure = replace(equal(), f1=same(0.5, reach=0.1))
    judged = gates.judge(unsure, PARAMS, superior=True)
    assert [gate.name for gate in judged if gate.answer != "pass"] == ["crps_superior", "f1"]
    assert gates.verdict(judged) == "inconclusive"
    # That it gains no 2 % of F1 is certain here.
    assert gates.verdict(gates.judge(equal(), PARAMS, superior=True)) == "fail"


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        ("samples", {"held_out": 99}, "inconclusive"),
        ("label_coverage", {"measured": replace(MEASURED, due=0, labelled=0)}, "inconclusive"),
        ("label_coverage", {"measured": replace(MEASURED, labelled=80)}, "inconclusive"),
        ("crps_no_worse", {"gain_bounds": (-0.0003, 0.0001)}, "inconclusive"),
        ("crps_no_worse", {"gain_bounds": (-0.0003, 0.0001), "no_worse": SURE}, "pass"),
        ("crps_no_worse", {"gain_bounds": (-0.0009, -0.0003), "no_worse": SURE}, "fail"),
        ("crps_no_worse", {"gain_bounds": None}, "inconclusive"),
        ("crps_no_worse", {"loss": Difference(None, None, None, None)}, "inconclusive"),
        ("brier", {"brier": Difference(0.25, 0.258, 0.001, 0.015)}, "pass"),
        ("brier", {"brier": Difference(0.25, 0.27, -0.001, 0.04)}, "inconclusive"),
        ("brier", {"brier": Difference(0.25, 0.27, 0.01, 0.03)}, "fail"),
        ("recall", {"recall": lost(0.5, 0.06, 0.1)}, "inconclusive"),
        ("recall", {"recall": lost(0.5, 0.06, 0.01)}, "fail"),
        ("auc", {"auc": lost(0.55, 0.03, 0.05)}, "inconclusive"),
        ("auc", {"auc": lost(0.55, 0.03, 0.01)}, "fail"),
        ("auc", {"auc": Difference(0.5, None, None, None)}, "inconclusive"),
        ("interval_coverage", {"distance": Difference(0.0, 0.019, 0.001, 0.03)}, "pass"),
        ("interval_coverage", {"distance": Difference(0.0, 0.05, 0.01, 0.09)}, "fail"),
        ("interval_coverage", {"distance": Difference(0.0, 0.05, -0.01, 0.2)}, "inconclusive"),
        # The champion promises no better.
        ("interval_coverage", {"distance": Difference(0.06, 0.05, -0.02, 0.0)}, "pass"),
        ("inference_ms", {"measured": replace(MEASURED, inference_ms=6.0)}, "fail"),
        ("inference_ms", {"measured": replace(MEASURED, inference_ms=None)}, "inconclusive"),
        ("graph_mb", {"measured": replace(MEASURED, graph_mb=60.0)}, "fail"),
        ("purge", {"last_target": FIRST + timedelta(1)}, "fail"),
        ("purge", {"last_target": None}, "inconclusive"),
        ("oos_r2", {"measured": replace(MEASURED, oos_r2=0.03)}, "fail"),
        ("rank_ic", {"rank_ic": 0.2}, "fail"),
        ("quality", {"measured": replace(MEASURED, quality=90.0)}, "fail"),
        ("quality", {"measured": replace(MEASURED, quality=None)}, "inconclusive"),
        ("shift", {"shift": 0.6}, "fail"),
        ("restated", {"restated": 40}, "pass"),
        ("restated", {"restated": 900, "held_out": 0, "live": 150}, "inconclusive"),
        ("restated", {"restated": 900, "held_out": 0, "live": 250}, "pass"),
    ],
)
def test_each_gate_has_three_answers(name: str, changes: dict[str, object], expected: str) -> None:
    comparison = replace(equal(), **changes)  # type: ignore[arg-type]
    judged = {gate.name: gate for gate in gates.judge(comparison, PARAMS, superior=False)}
    assert judged[name].answer == expected


def test_a_change_must_be_better_and_gain_f1() -> None:
    better = replace(equal(), better=SURE, f1=Difference(0.5, 0.53, 0.01, 0.05))
    assert gates.verdict(gates.judge(better, PARAMS, superior=True)) == "pass"
    no_gain = replace(better, f1=Difference(0.5, 0.505, 0.0, 0.01))
    assert gates.verdict(gates.judge(no_gain, PARAMS, superior=True)) == "fail"
    assert gates.verdict(gates.judge(replace(better, worse=SURE), PARAMS, superior=True)) == "pass"
    worse = replace(better, better=NONE, worse=SURE)
    assert gates.verdict(gates.judge(worse, PARAMS, superior=True)) == "fail"


def test_a_threshold_of_null_takes_its_gate_away() -> None:
    fewer = PARAMS.model_copy(update={"f1_gain": None, "brier_loss": None, "max_shift": None})
    names = {gate.name for gate in gates.judge(equal(), fewer, superior=True)}
    assert not names & {"f1", "brier", "shift"}
    assert names >= {"samples", "recall", "auc", "purge"}


def test_the_answer_of_all() -> None:
    def gate(verdict: str) -> Gate:
        return Gate("x", "at most", 0.0, 1.0, verdict, "")  # type: ignore[arg-type]

    assert gates.verdict([]) == "inconclusive"
    assert gates.verdict([gate("pass"), gate("inconclusive")]) == "inconclusive"
    assert gates.verdict([gate("inconclusive"), gate("fail")]) == "fail"


def side(seed: int, *, noise: float = 0.0, spread: float = 0.02) -> Side:
    """Forecasts of three symbols on 300 dates of the same outcomes."""
    generator = np.random.default_rng(0)
    days = pl.date_range(FIRST, FIRST + timedelta(299), eager=True)
    parts = []
    for symbol in ("AAA", "BBB", "CCC"):
        target = generator.normal(0, 0.02, len(days))
        forecast = noise * np.random.default_rng(seed).normal(size=len(days))
        parts.append(
            pl.DataFrame({"symbol": symbol, "date": days, "target": target, "forecast": forecast})
        )
    frame = pl.concat(parts).with_columns(
        lower=pl.col("forecast") - 1.645 * spread,
        upper=pl.col("forecast") + 1.645 * spread,
        probability=0.5 + 10 * pl.col("forecast"),
        scale=pl.lit(spread),
    )
    quantiles = np.linspace(-2, 2, 21).tolist()
    fit = {"residual_quantiles": quantiles, "training": {"last_target": str(FIRST)}}
    return Side(frame, {**fit, "evaluated": fit})


def compare(champion: Side, challenger: Side, sessions: int = 1) -> HeadToHead:
    """Head to head, without live rows."""
    sides = {"champion": champion, "challenger": challenger}
    return head_to_head.compare(Horizon("short", sessions, 0.9), sides, EMPTY, MEASURED, PARAMS)


def test_the_same_forecasts_are_no_worse_and_not_better() -> None:
    comparison = compare(side(1), side(1))
    assert comparison.held_out == 900
    assert comparison.loss.value == 0
    assert comparison.gain_bounds == (0, 0)
    refit = gates.judge(comparison, PARAMS, superior=False)
    assert gates.verdict(refit) == "pass", refit
    answers = {gate.name: gate.answer for gate in gates.judge(comparison, PARAMS, superior=True)}
    assert answers["crps_superior"] == "inconclusive"


def test_only_rows_whose_outcome_is_the_same_are_compared() -> None:
    champion, challenger = side(1), side(2, noise=0.001)
    few = challenger.forecasts.with_columns(
        target=pl.when(pl.col("date") < FIRST + timedelta(5)).then(1.0).otherwise("target")
    )
    few_restated = compare(champion, Side(few, challenger.card))
    assert (few_restated.held_out, few_restated.restated) == (885, 15)
    assert few_restated.first == FIRST + timedelta(5)
    everything = challenger.forecasts.with_columns(pl.col("target") + 1)
    all_restated = compare(champion, Side(everything, challenger.card))
    assert (all_restated.held_out, all_restated.restated) == (0, 900)
    answers = {gate.name: gate.answer for gate in gates.judge(all_restated, PARAMS, superior=False)}
    assert answers["restated"] == answers["samples"] == answers["crps_no_worse"] == "inconclusive"


def test_without_a_distribution_squared_errors_are_compared() -> None:
    champion, challenger = side(1), side(2, noise=0.01)
    bare = Side(champion.forecasts, {"evaluated": {"training": {"last_target": str(FIRST)}}})
    comparison = compare(bare, challenger)
    assert comparison.score == "squared_error"
    errors = champion.forecasts["target"].to_numpy()
    assert comparison.loss.champion == pytest.approx(float((errors**2).mean()))
    assert compare(champion, challenger).score == "crps"


def test_a_long_horizon_with_few_independent_sessions_is_inconclusive() -> None:
    comparison = compare(side(1), side(2, noise=0.02), sessions=100)
    assert comparison.gain_bounds is None
    assert comparison.brier.low is None
    answers = {gate.name: gate.answer for gate in gates.judge(comparison, PARAMS, superior=False)}
    assert answers["crps_no_worse"] == "inconclusive"
    assert "fail" not in {answers["brier"], answers["auc"], answers["recall"]}


def test_one_row_and_constant_forecasts() -> None:
    champion, challenger = side(1), side(1)
    one = Side(champion.forecasts.head(1), champion.card)
    comparison = compare(one, challenger)
    assert comparison.held_out == 1
    assert comparison.shift is None
    assert gates.verdict(gates.judge(comparison, PARAMS, superior=False)) == "inconclusive"
    constant = compare(champion, challenger)
    assert constant.rank_ic == 0
    assert constant.recall.champion == 0.5


def test_the_bounds_of_a_difference_hold_their_error() -> None:
    """Of 200 pairs that are equal, at most 5 % (plus chance) are beyond the one-sided bound."""
    beyond = 0
    for seed in range(200):
        generator = np.random.default_rng(seed)
        target = generator.normal(0, 1, 300)
        rows = pl.DataFrame(
            {
                "date": pl.date_range(FIRST, FIRST + timedelta(299), eager=True),
                "target": target,
                "champion_probability": np.clip(generator.normal(0.5, 0.1, 300), 0, 1),
                "challenger_probability": np.clip(generator.normal(0.5, 0.1, 300), 0, 1),
            }
        )
        difference = paired_scores.compare(rows, paired_scores.brier, 1, 0.05)
        assert difference.low is not None
        beyond += difference.low > 0
    assert beyond <= 18
