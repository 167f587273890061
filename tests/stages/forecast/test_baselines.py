"""Baselines, against means worked out row by row."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from stages.forecast import baselines
from stages.forecast.session import Session
from stages.forecast.training.folds import Fold
from stages.forecast.training.train_params import BASELINES

ROWS = pl.DataFrame(
    {
        "symbol": ["A", "A", "A", "B", "B", "B"],
        "date": [date(2001, 1, 1) + timedelta(days=i) for i in (0, 1, 2, 0, 1, 2)],
        "target": [0.01, 0.03, -0.02, 0.05, 0.07, 0.11],
    }
)

FOLDS = [
    Fold(1, np.array([0, 3]), np.array([1, 4])),
    Fold(2, np.array([0, 1, 3, 4]), np.array([2, 5])),
]


@pytest.mark.parametrize(
    ("scope", "means"),
    [
        ("pooled", [0.03, 0.03, 0.04, 0.04]),
        ("per_symbol", [0.01, 0.05, 0.02, 0.06]),
    ],
)
def test_each_fold_has_the_mean_of_what_was_known_before_it(scope: str, means: list[float]) -> None:
    known = baselines.in_folds(ROWS, FOLDS, scope)
    assert known.select("fold", "symbol").rows() == [(1, "A"), (1, "B"), (2, "A"), (2, "B")]
    assert known["mean"].to_list() == pytest.approx(means)
    assert known["zero"].to_list() == [0] * 4


def test_a_symbol_without_rows_in_a_fold_has_no_mean_there() -> None:
    only_a = [Fold(1, np.array([0, 1]), np.array([2]))]
    assert baselines.in_folds(ROWS, only_a, "per_symbol")["mean"].to_list() == [
        pytest.approx(0.02),
        None,
    ]


@pytest.mark.parametrize(
    ("scope", "means"),
    [("pooled", [0.25 / 6] * 2), ("per_symbol", [0.02 / 3, 0.23 / 3])],
)
def test_the_graphs_give_the_means_of_all_rows(scope: str, means: list[float]) -> None:
    models = baselines.as_graphs(ROWS, ["A", "B"], 3, scope)
    assert list(models) == list(BASELINES)
    features = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    symbol = np.array([[0], [1]], dtype=np.int64)
    served = Session(models["mean"])(features, symbol=symbol)["return"]
    assert served == pytest.approx(means, rel=1e-6)
    assert (Session(models["zero"])(features, symbol=symbol)["return"] == 0).all()
