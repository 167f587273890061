"""Explanations of whole graphs: linear models, trees, models per symbol, and any other graph."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from stages.forecast.attribution import sampling
from stages.forecast.attribution.graph_walk import Contributions, Rows, combined
from stages.forecast.session import Session
from stages.forecast.training import graphs, models

Matrix = npt.NDArray[np.float32]

RNG = np.random.default_rng(0)
BACKGROUND = RNG.normal(size=(2_000, 3)).astype(np.float32)
X = RNG.normal(size=(50, 3)).astype(np.float32)
Y = 0.01 * BACKGROUND[:, 0] + 0.01 * np.abs(BACKGROUND[:, 1])


def rows(x: Matrix, symbol: int = 0) -> Rows:
    return Rows(x, np.full(len(x), symbol, np.int64))


def explained(model: ModelProto, weight: float = 1.0) -> Contributions:
    return combined({"it": model}, {"it": weight}, rows(X), rows(BACKGROUND), seed=0)


def sums(contributions: Contributions) -> npt.NDArray[np.float64]:
    total: npt.NDArray[np.float64] = contributions.base + contributions.added.sum(axis=1)
    return total


def graph(*nodes: Any, **constants: npt.ArrayLike) -> ModelProto:
    """A graph of three features, whose last node gives `return`."""
    return helper.make_model(
        helper.make_graph(
            nodes,
            "made",
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, 3])],
            [helper.make_tensor_value_info("return", TensorProto.FLOAT, [None, 1])],
            [numpy_helper.from_array(np.asarray(each), name) for name, each in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)],
        ir_version=8,
    )


def bent() -> ModelProto:
    """`tanh(x0 + 2 x1)`, which no rule knows, plus 0.5; it does not read the last feature."""
    return graph(
        helper.make_node("Gather", ["features", "places"], ["some"], axis=1),
        helper.make_node("MatMul", ["some", "slope"], ["product"]),
        helper.make_node("Tanh", ["product"], ["bent"]),
        helper.make_node("Add", ["bent", "level"], ["return"]),
        places=np.array([0, 1]),
        slope=np.array([[1], [2]], np.float32),
        level=np.array([0.5], np.float32),
    )


def test_a_linear_model_moves_by_the_distance_from_the_mean() -> None:
    slope = np.array([0.5, -1.0, 0.0])
    contributions = explained(graphs.linear(slope, 3.0))
    centre = BACKGROUND.mean(axis=0, dtype=np.float64)
    assert contributions.base == pytest.approx(np.full(50, centre @ slope + 3), abs=1e-6)
    assert contributions.added == pytest.approx((X - centre) * slope, abs=1e-6)


def test_a_constant_is_all_base() -> None:
    contributions = explained(graphs.linear(np.zeros(3), 0.25), weight=2)
    assert contributions.base.tolist() == [0.5] * 50
    assert not contributions.added.any()


@pytest.mark.parametrize("kind", ["ridge", "random_forest", "xgboost", "lightgbm"])
def test_an_explanation_of_any_model_sums_to_its_forecast(kind: str) -> None:
    fewer = {} if kind == "ridge" else {"n_estimators": 20}
    fitted = models.load(kind)(BACKGROUND, Y, 0, **fewer)
    contributions = explained(fitted.to_onnx())
    assert sums(contributions) == pytest.approx(fitted.predict(X), abs=1e-6)
    assert contributions.base == pytest.approx(
        np.full(50, fitted.predict(BACKGROUND).mean()), abs=1e-6
    )
    # The last feature is noise; the first two move the target.
    sizes = np.abs(contributions.added).mean(axis=0)
    assert sizes[2] < 0.2 * sizes[0]


def test_parts_add_up_by_their_weights() -> None:
    forest = models.random_forest(BACKGROUND, Y, 0, n_estimators=5, n_jobs=1).to_onnx()
    parts = {"line": graphs.linear(np.array([1.0, 0, 0]), 0.0), "forest": forest}
    weights = {"line": 0.3, "forest": 0.5, "absent": 0.0}
    contributions = combined(parts, weights, rows(X), rows(BACKGROUND), seed=0)
    line, trees = (explained(each) for each in parts.values())
    assert contributions.added == pytest.approx(0.3 * line.added + 0.5 * trees.added, abs=1e-12)
    assert contributions.base == pytest.approx(0.3 * line.base + 0.5 * trees.base, abs=1e-12)


def test_a_model_that_sees_some_of_the_features_moves_by_those() -> None:
    linear = graph(
        helper.make_node("Gather", ["features", "places"], ["some"], axis=1),
        helper.make_node("MatMul", ["some", "slope"], ["return"]),
        places=np.array([2, 0]),
        slope=np.array([[3], [1]], np.float32),
    )
    whole = explained(graphs.linear(np.array([1.0, 0, 3]), 0.0))
    assert explained(linear).added == pytest.approx(whole.added, abs=1e-12)


@pytest.mark.parametrize("kind", ["linear", "bent"])
def test_a_graph_in_double_precision_moves_like_another(kind: str) -> None:
    middle = helper.make_node("Tanh" if kind == "bent" else "Identity", ["product"], ["bent"])
    double = graph(
        helper.make_node("Cast", ["features"], ["wide"], to=TensorProto.DOUBLE),
        helper.make_node("Gather", ["wide", "places"], ["some"], axis=1),
        helper.make_node("MatMul", ["some", "slope"], ["product"]),
        middle,
        helper.make_node("Add", ["bent", "level"], ["sum"]),
        helper.make_node("Cast", ["sum"], ["return"], to=TensorProto.FLOAT),
        places=np.array([0, 1]),
        slope=np.array([[1.0], [2.0]]),
        level=np.array([0.5]),
    )
    single = bent() if kind == "bent" else graphs.linear(np.array([1.0, 2.0, 0.0]), 0.5)
    contributions, wanted = explained(double), explained(single)
    if kind == "linear":
        assert contributions.added == pytest.approx(wanted.added, abs=1e-6)
    assert sums(contributions) == pytest.approx(Session(single)(X)["return"], abs=1e-6)


def test_each_symbol_has_the_model_and_the_background_of_its_own() -> None:
    per_symbol = graphs.by_symbol(
        [graphs.linear(np.array([slope, 0, 0]), 0.0) for slope in (1.0, 10.0)] + [bent()]
    )
    symbol = np.arange(50) % 3
    others = np.arange(2_000) % 3
    contributions = combined(
        {"it": per_symbol}, {"it": 1.0}, Rows(X, symbol), Rows(BACKGROUND, others), 0
    )
    for index, slope in enumerate((1.0, 10.0)):
        centre = BACKGROUND[others == index, 0].mean(dtype=np.float64)
        own = contributions.added[symbol == index]
        assert own[:, 0] == pytest.approx(slope * (X[symbol == index, 0] - centre), abs=1e-6)
        assert not own[:, 1:].any()
    session = Session(per_symbol)
    assert sums(contributions) == pytest.approx(
        session(X, symbol=symbol.reshape(-1, 1))["return"], abs=1e-6
    )


# --- any other graph


def test_a_graph_of_another_kind_is_sampled() -> None:
    contributions = explained(bent())
    assert sums(contributions) == pytest.approx(Session(bent())(X)["return"], abs=1e-6)
    assert not contributions.added[:, 2].any()
    # Near the mean over all of the background.
    assert contributions.base == pytest.approx(
        Session(bent())(BACKGROUND)["return"].mean(), abs=0.05
    )
    # As much as the definition gives; the sample of eight rows is as near as this.
    every = np.tanh(BACKGROUND[:, 0] + 2 * BACKGROUND[:, 1])
    for row, values in zip(X[:10], contributions.added, strict=False):
        first = np.tanh(row[0] + 2 * BACKGROUND[:, 1]).mean()
        second = np.tanh(BACKGROUND[:, 0] + 2 * row[1]).mean()
        whole = np.tanh(row[0] + 2 * row[1])
        exact = (first - every.mean() + whole - second) / 2
        assert values[0] == pytest.approx(exact, abs=0.25)


def test_a_sample_of_a_sum_is_exact_but_for_the_mean() -> None:
    slope = np.array([1.0, -2.0, 0.5])

    def predict(x: Matrix) -> npt.NDArray[np.float64]:
        return np.asarray(x @ slope, np.float64)

    base, added = sampling.contributions(predict, X, BACKGROUND, [0, 1, 2], seed=0)
    drawn = X[0] - added[0] / slope
    assert added == pytest.approx((X - drawn) * slope, abs=1e-6)
    assert base == pytest.approx(drawn @ slope, abs=1e-6)


def test_a_sample_repeats() -> None:
    assert explained(bent()).added.tolist() == explained(bent()).added.tolist()
