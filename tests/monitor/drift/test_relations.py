"""The residuals are those of regressions."""

import numpy as np
import pytest

from monitor.drift import reference_folds, relations


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    random = np.random.default_rng(0)
    values = random.normal(size=(500, 4))
    values[:, 3] = values[:, 0] - 2 * values[:, 1] + 0.1 * values[:, 3]
    return relations.standardised(values, values.mean(axis=0), values.std(axis=0))


def test_a_residual_is_what_a_ridge_regression_on_the_others_leaves(rows: np.ndarray) -> None:
    residuals = rows @ relations.coefficients(rows)
    for place in range(4):
        others = np.delete(rows, place, axis=1)
        gram = others.T @ others / len(rows) + relations.PENALTY * np.eye(3)
        expected = rows[:, place] - others @ np.linalg.solve(
            gram, others.T @ rows[:, place] / len(rows)
        )
        assert residuals[:, place] == pytest.approx(expected)


def test_features_that_are_set_to_what_the_others_say_have_no_residual(rows: np.ndarray) -> None:
    matrix = relations.coefficients(rows)
    mended = relations.without(rows, matrix, [1, 3])
    assert np.abs((mended @ matrix)[:, [1, 3]]).max() < 1e-9
    assert (mended[:, [0, 2]] == rows[:, [0, 2]]).all()


def test_no_row_is_in_the_regression_of_its_own_residual(rows: np.ndarray) -> None:
    parts = reference_folds.split(np.arange(500) // 2)
    before = relations.residuals(rows, parts)
    changed = rows.copy()
    changed[:20, 3] += 100
    after = relations.residuals(changed, parts)
    # The first fold's regression has not seen the change; that of a far one has.
    assert after[:20, 3] - before[:20, 3] == pytest.approx(100)
    assert after[20:50] == pytest.approx(before[20:50])
    assert after[200:] != pytest.approx(before[200:])


def test_a_constant_feature_has_no_residual() -> None:
    values = np.random.default_rng(0).normal(size=(100, 3))
    values[:, 1] = 7
    standard = relations.standardised(values, values.mean(axis=0), values.std(axis=0))
    assert (standard[:, 1] == 0).all()
    assert np.isfinite(relations.residuals(standard, reference_folds.split(np.arange(100)))).all()
