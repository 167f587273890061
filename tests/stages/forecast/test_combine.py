import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.signal import lfilter

from stages.forecast.contract import Vector
from stages.forecast.evaluation import combine
from stages.forecast.evaluation.combine import Chosen, FoldPredictions, Problem
from tests import panels

NAMES = ["a", "b", "c"]
METHODS = ("mean", "average", "learned")


def fold_rows(
    values: dict[str, Vector],
    mean: Vector,
    target: Vector,
    *,
    folds: int = 5,
    symbols: int = 2,
    horizon: int = 1,
) -> FoldPredictions:
    """Rows by fold, symbol and date as training leaves them, one day a session."""
    rows = len(target)
    per_fold = rows // folds // symbols
    assert per_fold * folds * symbols == rows
    fold = np.repeat(np.arange(1, folds + 1), per_fold * symbols).astype(np.int32)
    dates = np.concatenate(
        [
            1000 + number * per_fold + np.arange(per_fold)
            for number in range(folds)
            for _ in range(symbols)
        ]
    ).astype(np.int32)
    return FoldPredictions(
        list(values),
        np.column_stack(list(values.values())),
        mean,
        target,
        fold,
        dates,
        (dates + horizon).astype(np.int32),
    )


def random_rows(
    seed: int, rows: int = 200, signal: float = 0.0, horizon: int = 1
) -> FoldPredictions:
    """Candidates that err each in their own way; `signal` is how much of the target they know."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(0, 0.01, rows)
    target = 0.001 + signal * truth + rng.normal(0, 0.02, rows)
    level = np.repeat(rng.normal(0.001, 0.0002, 5), rows // 5)
    values = {
        name: level + signal * truth + rng.normal(0, rng.uniform(0.001, 0.02), rows)
        for name in NAMES
    }
    return fold_rows(values, level, target, horizon=horizon)


def problem(predictions: FoldPredictions, shrinkage: float = 0.5) -> Problem:
    mean = predictions.mean
    return Problem(
        predictions.names, predictions.values - mean[:, None], predictions.target - mean, shrinkage
    )


def combined(
    predictions: FoldPredictions,
    shrinkage: float = 0.5,
    significance: float = 1.0,
    horizon: int = 1,
) -> Chosen:
    """The combination; by default whatever beats the mean is served."""
    return combine.combine(predictions, shrinkage, significance, horizon)


def others(chosen: Chosen) -> float:
    """The weight of all but the historical mean."""
    return sum(weight for name, weight in chosen.weights.items() if name != "mean")


# --- what every combination obeys


@given(
    st.integers(0, 2**32),
    st.sampled_from([0.0, 0.3, 1.0, -1.0]),
    st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    st.sampled_from([1, 7, 30]),
    st.sampled_from([0.05, 1.0]),
)
@panels.examples(60)
def test_weights_are_shares(
    seed: int, signal: float, shrinkage: float, horizon: int, significance: float
) -> None:
    predictions = random_rows(seed, signal=signal, horizon=horizon)
    chosen = combined(predictions, shrinkage, significance, horizon)
    assert list(chosen.weights) == ["mean", *NAMES]
    assert all(weight >= 0 for weight in chosen.weights.values())
    assert others(chosen) <= 1 + 1e-12
    assert sum(chosen.weights.values()) == pytest.approx(1)
    assert chosen.method in METHODS
    assert chosen.errors[chosen.best] == min(chosen.errors.values())
    sure = significance == 1 or (chosen.p_value is not None and chosen.p_value <= significance)
    assert chosen.method == (chosen.best if sure else "mean")
    assert chosen.method != "mean" or others(chosen) == 0
    # Weights of a sum are what the graph multiplies.
    column = np.array([chosen.weights[name] for name in NAMES])
    assert combine.combined(predictions, chosen.weights) == pytest.approx(
        predictions.values @ column + predictions.mean * chosen.weights["mean"], abs=1e-12
    )


@given(st.integers(0, 2**32), st.sampled_from(METHODS), st.floats(0, 1))
@panels.examples(60)
def test_each_method_gives_shares(seed: int, method: str, shrinkage: float) -> None:
    weights = combine.METHODS[method](problem(random_rows(seed, signal=0.5), shrinkage))
    assert (weights >= 0).all()
    assert weights.sum() <= 1 + 1e-12


@given(st.integers(0, 2**32), st.permutations(range(3)))
@panels.examples(20)
def test_the_order_of_candidates_does_not_matter(seed: int, order: Sequence[int]) -> None:
    predictions = random_rows(seed, signal=0.5)
    moved = replace(
        predictions, names=[NAMES[i] for i in order], values=predictions.values[:, list(order)]
    )
    one, other = combined(predictions, 0.5), combined(moved, 0.5)
    assert one.method == other.method
    assert one.p_value == pytest.approx(other.p_value)
    assert one.weights == pytest.approx(dict(other.weights), abs=1e-9)


# --- what it learns


def test_noise_leaves_little_but_the_mean() -> None:
    chosen = [combined(random_rows(seed, rows=2000), 0.5) for seed in range(40)]
    assert sum(choice.method == "mean" for choice in chosen) >= 20
    for seed, choice in enumerate(chosen):
        predictions = random_rows(seed, rows=2000)
        served = combine.combined(predictions, choice.weights)
        # What is served strays from the mean by less than a tenth of what its candidates do.
        strayed = np.std(served - predictions.mean)
        assert strayed < 0.1 * np.std(predictions.values - predictions.mean[:, None])


def overlapping(seed: int, horizon: int) -> FoldPredictions:
    """Targets that overlap, and candidates that change slowly and know nothing of them."""
    rng = np.random.default_rng(seed)
    rows = 1000
    steps = rng.normal(0, 0.01, rows + horizon)
    target = np.convolve(steps, np.ones(horizon), "valid")[:rows]
    slow = lfilter([1.0], [1.0, -0.98], rng.normal(0, 0.001, (rows, 3)), axis=0)
    values = dict(zip(NAMES, slow.T, strict=True))
    return fold_rows(values, np.zeros(rows), target, symbols=1, horizon=horizon)


@pytest.mark.parametrize("horizon", [1, 21])
def test_targets_that_nothing_foretells_earn_no_weight(horizon: int) -> None:
    lucky = served = 0
    for seed in range(200):
        predictions = overlapping(seed, horizon)
        if others(combined(predictions, horizon=horizon)):
            lucky += 1
            served += others(combined(predictions, 0.5, 0.05, horizon)) > 0
    # A false alarm in twenty draws is meant, and overlap adds a few: without the test of chance it
    # is one in five to one in three.
    assert served <= 16
    assert lucky >= 40


@pytest.mark.parametrize("seed", range(10))
def test_shuffled_targets_take_the_weight_away(seed: int) -> None:
    predictions = random_rows(seed, rows=2000, signal=0.5)
    assert others(combined(predictions, 0.5, 0.05)) > 0
    order = np.random.default_rng(seed).permutation(2000)
    shuffled = replace(predictions, target=predictions.target[order])
    assert others(combined(shuffled, 0.5, 0.05)) == 0


def test_the_chance_worked_by_hand() -> None:
    """Eight dates have one cosine, so the t distribution is Cauchy's."""
    says = np.array([1, -1, 2, 1, -2, 1, 1, 2]) / 100
    came = np.array([2, -1, 1, -1, -2, 3, 1, 1]) / 100
    values = {"a": says + 0.003, "b": says - 0.003}
    predictions = fold_rows(values, np.zeros(8), came, folds=4, symbols=1)
    gain = 2 * says * came
    # Twice the product of both: 4, 2, 4, -2, 8, 6, 2, 4 hundredths of a percent.
    assert gain == pytest.approx(np.array([4, 2, 4, -2, 8, 6, 2, 4]) / 1e4)
    cosine = sum(gain[t] * math.cos(math.pi * (t + 0.5) / 8) for t in range(8))
    ratio = gain.mean() / math.sqrt(2 / 8 * cosine**2 / 8)
    expected = 0.5 - math.atan(ratio) / math.pi
    assert combine.chance(predictions, 1) == pytest.approx(expected)
    # With an overlap as long as the history there is nothing to tell by.
    assert combine.chance(predictions, 8) is None
    assert combined(predictions, 0.5, 0.9, 8).weights["mean"] == 1


def test_candidates_that_say_the_mean_may_know_nothing() -> None:
    mean = np.full(200, 0.001)
    predictions = fold_rows({"a": mean, "b": mean}, mean, random_rows(0).target)
    assert combine.chance(predictions, 1) is None
    assert combined(predictions, 0.5, 0.05).weights == {"mean": 1, "a": 0, "b": 0}


def test_candidates_that_are_wrong_way_round_are_not_used() -> None:
    predictions = random_rows(0, rows=2000, signal=1.0)
    wrong = replace(predictions, values=2 * predictions.mean[:, None] - predictions.values)
    chosen = combined(wrong, 0.5)
    assert [chosen.weights[name] for name in "abc"] == [0, 0, 0]


@pytest.mark.parametrize("truth", ["a", "b", "c"])
@pytest.mark.parametrize(("shrinkage", "least"), [(0.0, 0.9), (0.5, 0.5)])
def test_the_truth_gets_most_weight(truth: str, shrinkage: float, least: float) -> None:
    rng = np.random.default_rng(0)
    rows = 2000
    known = rng.normal(0, 0.01, rows)
    values = {name: known if name == truth else rng.normal(0, 0.01, rows) for name in NAMES}
    target = known + rng.normal(0, 0.005, rows)
    chosen = combined(fold_rows(values, np.full(rows, 0.001), target), shrinkage)
    assert chosen.method == "learned"
    assert chosen.weights[truth] > least
    assert max(chosen.weights.values()) == chosen.weights[truth]


def test_candidates_that_are_equally_right_are_averaged() -> None:
    rng = np.random.default_rng(0)
    rows = 4000
    known = rng.normal(0, 0.01, rows)
    values = {name: known + rng.normal(0, 0.01, rows) for name in NAMES}
    target = known + rng.normal(0, 0.02, rows)
    chosen = combined(fold_rows(values, np.zeros(rows), target), 0.5)
    weights = [chosen.weights[name] for name in "abc"]
    # Three views whose errors are as large as the truth: three quarters of their mean.
    assert weights == pytest.approx([0.25] * 3, abs=0.05)


def test_the_slope_of_the_average_is_that_of_least_squares() -> None:
    rows = problem(random_rows(3, signal=1.0))
    weights = combine.average(rows)
    views = rows.excess.mean(axis=1)
    slope = np.polynomial.polynomial.polyfit(views, rows.target, [1])[1]
    assert 0 < slope < 1
    assert weights == pytest.approx([slope / 3] * 3)
    # Never more than the whole, never against it.
    assert combine.average(replace(rows, target=rows.target * 50))[0] == pytest.approx(1 / 3)
    assert combine.average(replace(rows, target=-rows.target)).tolist() == [0] * 3


@pytest.mark.parametrize("seed", range(5))
def test_learned_weights_are_those_of_a_general_optimiser(seed: int) -> None:
    rows = problem(random_rows(seed, signal=1.0), shrinkage=0.0)
    excess, target = rows.excess * 100, rows.target * 100
    optimum = minimize(
        lambda w: ((target - excess @ w) ** 2).sum(),
        np.full(3, 0.1),
        jac=lambda w: -2 * excess.T @ (target - excess @ w),
        bounds=[(0, None)] * 3,
        options={"ftol": 1e-15, "gtol": 1e-12},
    ).x
    expected = optimum / max(1, optimum.sum())
    assert combine.learned(rows) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_shrunk_wholly_the_learned_weights_are_the_plain_average(seed: int) -> None:
    predictions = random_rows(seed, signal=1.0)
    rows = problem(predictions, shrinkage=1.0)
    assert combine.learned(rows) == pytest.approx(combine.average(rows))
    half = combine.learned(replace(rows, shrinkage=0.5))
    both = combine.learned(replace(rows, shrinkage=0.0)) + combine.average(rows)
    assert half == pytest.approx(both / 2)
    # A tie goes to the simpler.
    assert combined(predictions, 1.0).method == "average"


# --- what it learns from


def test_a_fold_is_forecast_by_weights_of_the_folds_before_it() -> None:
    """Worked out row by row, with the purge written out."""
    predictions = random_rows(1, signal=1.0, horizon=7)
    # Shrunk wholly, the learned weights are the average's, and the tie goes to that.
    chosen = combined(predictions, 1.0)
    assert chosen.method == "average"
    assert np.isnan(chosen.unseen[predictions.fold == 1]).all()
    for number in (2, 3, 4, 5):
        valid = predictions.fold == number
        begin = predictions.dates[valid].min()
        known = [
            i
            for i in range(len(predictions.target))
            if predictions.fold[i] < number and predictions.target_dates[i] < begin
        ]
        assert 0 < len(known) < (predictions.fold < number).sum()
        excess = predictions.values.mean(axis=1) - predictions.mean
        actual = predictions.target - predictions.mean
        slope = (excess[known] @ actual[known]) / (excess[known] @ excess[known])
        expected = predictions.mean + np.clip(slope, 0, 1) * excess
        assert chosen.unseen[valid] == pytest.approx(expected[valid], abs=1e-12)
    later = predictions.fold > 1
    squared = (predictions.target - chosen.unseen)[later] ** 2
    assert chosen.errors["average"] == pytest.approx(squared.mean())
    plain = (predictions.target - predictions.mean)[later] ** 2
    assert chosen.errors["mean"] == pytest.approx(plain.mean())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("number", [2, 4])
def test_a_target_that_is_not_known_yet_changes_nothing(method: str, number: int) -> None:
    predictions = random_rows(2, signal=1.0, horizon=7)
    begin = predictions.dates[predictions.fold == number].min()
    unknown = predictions.target_dates >= begin
    assert (unknown & (predictions.fold < number)).any()
    wild = replace(predictions, target=np.where(unknown, 1e3, predictions.target))
    before, after = (
        combine._walk_forward(combine.METHODS[method], each, 0.5) for each in (predictions, wild)
    )
    upto = (predictions.fold > 1) & (predictions.fold <= number)
    assert after[upto].tolist() == before[upto].tolist()
    later = predictions.fold > number
    assert method == "mean" or not np.array_equal(after[later], before[later])


def test_with_nothing_to_learn_from_the_mean_is_served() -> None:
    rng = np.random.default_rng(0)
    target = rng.normal(0, 0.01, 40)
    values, mean = {"a": target}, np.full(40, 0.001)
    for predictions in (
        fold_rows(values, mean, target, folds=1),
        # No target is known before the last fold begins.
        fold_rows(values, mean, target, folds=4, horizon=1000),
    ):
        chosen = combined(predictions, 0.5)
        assert chosen.method == "mean"
        assert chosen.weights == {"mean": 1, "a": 0}
        assert set(chosen.errors.values()) == {np.inf}
        assert np.isnan(chosen.unseen).all()


def test_a_candidate_that_says_what_the_mean_says_changes_nothing() -> None:
    predictions = random_rows(0, signal=1.0)
    twin = replace(
        predictions,
        names=[*NAMES, "d"],
        values=np.column_stack([predictions.values, predictions.mean]),
    )
    rows = problem(twin, shrinkage=0.0)
    assert combine.learned(rows)[-1] == 0
    assert combine.combined(twin, {**dict.fromkeys(NAMES, 0.0), "mean": 0.5, "d": 0.5}) == (
        pytest.approx(predictions.mean)
    )
