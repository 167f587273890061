"""The scale against a generalised linear model of statsmodels, and against what made the errors."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st

from stages.forecast.contract import SMALLEST_SCALE, Vector
from stages.forecast.evaluation import scale
from stages.forecast.evaluation.scale import Errors
from tests import panels

NAMES = ["vol_14", "range_5"]


def errors(
    seed: int, rows: int = 2000, folds: int = 5, exponents: tuple[float, float] = (0.3, 0.6)
) -> Errors:
    """Errors whose size is a product of powers of two columns, one row a day."""
    rng = np.random.default_rng(seed)
    logs = np.log(0.01) + rng.normal(0, 0.5, (rows, 2))
    size = np.exp(logs @ np.array(exponents) - 0.4)
    days = np.arange(rows, dtype=np.int32)
    fold = (days * folds // rows + 1).astype(np.int32)
    return Errors(NAMES, logs, size * rng.standard_t(5, rows), fold, days, days + 1)


def with_error(sample: Errors, error: Vector) -> Errors:
    return Errors(sample.names, sample.logs, error, sample.fold, sample.dates, sample.target_dates)


@given(st.integers(0, 2**32), st.integers(50, 500))
@panels.examples(20)
def test_without_shrinkage_it_is_a_gamma_regression_with_a_log_link(seed: int, rows: int) -> None:
    sample = errors(seed, rows)
    fit = scale.fit(scale.HAR, sample, 0.0)
    family = sm.families.Gamma(sm.families.links.Log())
    size = np.maximum(np.abs(sample.error), 1e-8)
    oracle = sm.GLM(size, sm.add_constant(sample.logs), family).fit(tol=1e-12, maxiter=200).params
    assert fit.intercept == pytest.approx(oracle[0], abs=1e-5)
    assert fit.slope == pytest.approx(oracle[1:], abs=1e-5)


def test_it_finds_the_exponents_that_made_the_errors() -> None:
    fit = scale.fit(scale.HAR, errors(0, rows=40_000), 0.0)
    assert fit.slope == pytest.approx([0.3, 0.6], abs=0.03)


@pytest.mark.parametrize("kind", [scale.CONSTANT, *NAMES])
def test_a_simple_scale_is_as_large_as_the_errors(kind: str) -> None:
    sample = errors(1)
    fit = scale.fit(kind, sample, 0.3)
    assert fit(sample.logs).mean() == pytest.approx(np.abs(sample.error).mean())


def test_errors_are_as_large_as_the_regression_says() -> None:
    """So no bias of the logarithm has to be corrected."""
    sample = errors(1)
    fit = scale.fit(scale.HAR, sample, 0.3)
    assert (np.abs(sample.error) / fit(sample.logs)).mean() == pytest.approx(1)


def test_shrinkage_ends_at_a_constant() -> None:
    sample = errors(2)
    slopes = [np.abs(scale.fit(scale.HAR, sample, pull).slope).sum() for pull in (0, 0.3, 3, 1e9)]
    assert slopes == sorted(slopes, reverse=True)
    assert slopes[-1] == pytest.approx(0, abs=1e-6)


def test_a_kind_that_is_a_column_follows_it_alone() -> None:
    sample = errors(3)
    assert scale.fit("range_5", sample, 0.3).slope.tolist() == [0, 1]
    assert scale.fit(scale.CONSTANT, sample, 0.3).slope.tolist() == [0, 0]


def test_errors_of_zero_are_rows_like_others() -> None:
    sample = errors(4, rows=200)
    still = with_error(sample, np.where(np.arange(200) % 3, sample.error, 0.0))
    for kind in scale.kinds(NAMES):
        assert np.isfinite(scale.fit(kind, still, 0.3)(still.logs)).all()
    nothing = with_error(sample, np.zeros(200))
    assert (scale.fit(scale.HAR, nothing, 0.3)(nothing.logs) == SMALLEST_SCALE).all()


def test_a_column_that_never_varies_does_no_harm() -> None:
    sample = errors(5)
    logs = np.column_stack([sample.logs, np.full(len(sample.error), -4.0)])
    more = Errors(
        [*NAMES, "vol_63"],
        logs,
        sample.error,
        sample.fold,
        sample.dates,
        sample.target_dates,
    )
    fit = scale.fit(scale.HAR, more, 0.3)
    assert fit(logs) == pytest.approx(scale.fit(scale.HAR, sample, 0.3)(sample.logs), rel=1e-9)


# --- the choice


def test_the_scale_that_made_the_errors_wins() -> None:
    assert scale.choose(errors(6), 0.01, 0.9)[0] == scale.HAR
    assert scale.choose(errors(7, exponents=(0.0, 1.0)), 0.3, 0.9)[0] == "range_5"
    # With nothing to learn a constant is the simplest of what is as good.
    kind, losses = scale.choose(errors(8, exponents=(0.0, 0.0)), 1e9, 0.9)
    assert kind == scale.CONSTANT
    assert set(losses) == {scale.CONSTANT, *NAMES, scale.HAR}


@pytest.mark.parametrize("seed", range(3))
def test_shuffled_errors_teach_the_scale_nothing(seed: int) -> None:
    sample = errors(seed, rows=4000)
    rng = np.random.default_rng(seed)
    losses = {
        shuffled: scale.choose(
            with_error(sample, rng.permutation(sample.error) if shuffled else sample.error),
            0.3,
            0.9,
        )[1]
        for shuffled in (False, True)
    }
    gain = {key: 1 - loss[scale.HAR] / loss[scale.CONSTANT] for key, loss in losses.items()}
    assert gain[False] > 0.05
    assert gain[True] < 0.01


@pytest.mark.parametrize("kind", [scale.CONSTANT, *NAMES, scale.HAR])
def test_an_interval_of_a_fold_knows_no_later_error(kind: str) -> None:
    sample = errors(11)
    other = with_error(sample, np.where(sample.fold >= 4, -3 * sample.error, sample.error))
    intervals, changed = (list(scale.unseen(kind, each, 0.3, 0.9)) for each in (sample, other))
    assert [int(sample.fold[rows].min()) for rows, *_ in intervals] == [2, 3, 4, 5]
    for (_, *reach), (_, *same) in zip(intervals[:3], changed[:3], strict=True):
        assert np.array_equal(reach, same)
    assert not np.array_equal(intervals[3][1:], changed[3][1:])


@pytest.mark.parametrize("kind", [scale.CONSTANT, "vol_14", scale.HAR])
def test_outcomes_that_were_not_known_when_a_fold_began_teach_it_nothing(kind: str) -> None:
    sample = errors(9)
    # The last ten rows of the fourth fold have outcomes that come when the fifth has begun.
    begin = sample.dates[sample.fold == 5].min()
    late = (sample.fold == 4) & (sample.dates >= begin - 10)
    ends = np.where(late, begin + 3, sample.target_dates).astype(np.int32)

    def fifth(error: Vector) -> float:
        """What the fifth fold adds to the score."""
        whole = Errors(NAMES, sample.logs, error, sample.fold, sample.dates, ends)
        before = scale.part(whole, sample.fold < 5)
        scores = [scale.choose(part, 0.3, 0.9)[1][kind] for part in (whole, before)]
        rows = [int((part.fold > 1).sum()) for part in (whole, before)]
        return scores[0] * rows[0] - scores[1] * rows[1]

    wild = np.where(late, sample.error * 1e4, sample.error)
    assert fifth(wild) == pytest.approx(fifth(sample.error), rel=1e-6)


def test_one_fold_is_none_to_choose_by() -> None:
    kind, losses = scale.choose(errors(10, folds=1), 0.3, 0.9)
    assert (kind, set(losses.values())) == (scale.CONSTANT, {float("inf")})
