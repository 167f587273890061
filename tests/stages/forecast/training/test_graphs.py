from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from stages.forecast import contract, session
from stages.forecast.contract import FORECAST_OUTPUTS, Matrix, Vector
from stages.forecast.session import Session
from stages.forecast.training import graphs, models
from stages.forecast.training.graphs import SMALLEST_SCALE, Spread
from tests import panels

LEVELS = np.linspace(0, 1, 21)


def linear(*slope: float, intercept: float = 0.0) -> onnx.ModelProto:
    return graphs.linear(np.array(slope, dtype=np.float64), intercept)


def spread(grid: npt.ArrayLike, lower: float = -1.5, upper: float = 2.0) -> Spread:
    return Spread(np.asarray(grid, dtype=np.float64), lower, upper)


def normal(seed: int = 0) -> Vector:
    """The quantiles of some residuals."""
    residuals: Vector = np.random.default_rng(seed).normal(0.1, 1.2, 500)
    return np.quantile(residuals, LEVELS)


def column(values: npt.ArrayLike) -> Matrix:
    return np.asarray(values, dtype=np.float32).reshape(-1, 1)


def probability(point: npt.ArrayLike, scale: npt.ArrayLike, grid: Vector) -> Vector:
    """By the interpolated distribution of the residuals, in double precision."""
    levels = np.linspace(0, 1, len(grid))
    threshold = -np.asarray(point, dtype=np.float64) / np.maximum(scale, SMALLEST_SCALE)
    below: Vector = np.interp(threshold, grid, levels)
    return 1 - below


def whole(grid: npt.ArrayLike) -> Session:
    """A forecast whose return is its only feature."""
    return Session(graphs.forecast({"a": linear(1.0)}, {"a": 1.0}, spread(grid)))


# --- the forecast


@given(
    st.integers(0, 2**32),
    st.lists(st.floats(0, 1), min_size=1, max_size=5).filter(any),
    st.integers(1, 40),
    st.integers(2, 60),
)
@panels.examples(60)
def test_a_forecast_is_what_numpy_makes_of_it(
    seed: int, weights: list[float], rows: int, points: int
) -> None:
    rng = np.random.default_rng(seed)
    slopes = rng.normal(0, 0.01, (len(weights), 4))
    intercepts = rng.normal(0, 0.01, len(weights))
    named = dict(zip("abcde", weights, strict=False))
    candidates = {
        name: graphs.linear(slope, intercept)
        for name, slope, intercept in zip(named, slopes, intercepts, strict=True)
    }
    grid = np.sort(rng.standard_t(3, points))
    made = Session(graphs.forecast(candidates, named, spread(grid)))
    x = rng.normal(size=(rows, 4)).astype(np.float32)
    scale = rng.choice([0.0, 1e-6, 0.01, 0.02, 0.5], rows).astype(np.float32)
    found = made(x, column(scale))

    wide = np.maximum(scale.astype(np.float64), SMALLEST_SCALE)
    point = (x.astype(np.float64) @ slopes.T + intercepts) @ np.array(weights)
    assert list(found) == list(FORECAST_OUTPUTS)
    assert found["return"] == pytest.approx(point, abs=1e-6)
    assert found["lower"] == pytest.approx(point - 1.5 * wide, abs=1e-6)
    assert found["upper"] == pytest.approx(point + 2.0 * wide, abs=1e-6)
    # The graph's own return: where residuals are dense, a rounded one moves the probability.
    expected = probability(found["return"], scale, grid)
    steepest = 1 / (points - 1) / np.diff(grid).min()
    assert found["probability"] == pytest.approx(expected, abs=1e-5 + 1e-5 * min(steepest, 100))


@given(st.integers(0, 2**32), st.integers(2, 201))
@panels.examples(40)
def test_the_probability_rises_with_the_return_and_stays_one(seed: int, points: int) -> None:
    rng = np.random.default_rng(seed)
    # Rounded, so that many residuals are equal.
    grid = np.sort(np.round(rng.standard_t(2, points), int(rng.integers(0, 6))))
    returns = np.sort(np.concatenate([rng.normal(0, 0.05, 300), -0.01 * grid, [-1e6, 0, 1e6]]))
    found = whole(grid)(column(returns), column(np.full(len(returns), 0.01)))["probability"]
    # The runtime sums a row in an order of its own: the last bit may differ between rows.
    assert (np.diff(found) >= -2.5e-7).all()
    assert (found[0], found[-1]) == (0, 1)


def test_the_probability_of_no_forecast_is_that_of_the_residuals() -> None:
    symmetric = whole(np.linspace(-3, 3, 201))
    for scale in (0.0, 0.001, 0.02, 1.0):
        assert symmetric(column([0]), column([scale]))["probability"] == pytest.approx([0.5])
    # Three in four residuals were above zero.
    skewed = whole(np.linspace(-1, 3, 201))
    assert skewed(column([0]), column([0.02]))["probability"] == pytest.approx([0.75])


def test_the_probability_answers_by_hand() -> None:
    made = whole([-2.0, -1.0, 0.0, 3.0])
    # -return / scale: halfway from the first to the second quantile, at the third, a third of
    # the way to the last, and beyond both ends.
    returns = [0.015, 0.0, -0.01, 0.05, -0.05]
    found = made(column(returns), column(np.full(5, 0.01)))["probability"]
    assert found == pytest.approx([1 - 0.5 / 3, 1 / 3, (2 / 3) / 3, 1, 0], abs=1e-5)


def test_equal_residuals_make_a_step() -> None:
    made = whole([-1.0, 0.5, 0.5, 0.5, 1.0])
    found = made(column([-0.004999, -0.005001]), column([0.01, 0.01]))["probability"]
    assert found == pytest.approx([0.75, 0.25], abs=1e-3)


def test_a_symbol_that_has_hardly_moved_gets_the_smallest_scale() -> None:
    made = whole(normal())
    for scale in (0.0, -1.0, 1e-7, SMALLEST_SCALE):
        found = made(column([0.001]), column([scale]))
        assert found["lower"] == pytest.approx([0.001 - 1.5 * SMALLEST_SCALE])
        assert found["upper"] == pytest.approx([0.001 + 2.0 * SMALLEST_SCALE])
        assert found["probability"] == pytest.approx(probability([0.001], [0.0], normal()))


def test_a_candidate_without_weight_is_left_out() -> None:
    candidates = {"a": linear(1.0), "b": linear(2.0), "c": linear(4.0)}
    both = graphs.forecast(candidates, {"a": 0.5, "b": 0.0, "c": 0.25}, spread(normal()))
    assert {tensor.name for tensor in both.graph.initializer} >= {"a/slope", "c/slope"}
    assert not [node for node in both.graph.node if any(n.startswith("b/") for n in node.output)]
    assert not [tensor for tensor in both.graph.initializer if tensor.name.startswith("b/")]
    assert Session(both)(column([1]), column([0.01]))["return"] == pytest.approx([1.5])


def test_the_order_of_the_weights_does_not_matter_to_who_gets_them() -> None:
    candidates = {"a": linear(1.0), "b": linear(100.0)}
    made = Session(graphs.forecast(candidates, {"b": 0.01, "a": 0.5}, spread(normal())))
    assert made(column([1]), column([0.01]))["return"] == pytest.approx([1.5])


# --- one model per symbol


def test_each_row_is_answered_by_the_model_of_its_symbol() -> None:
    made = graphs.by_symbol([linear(1.0), linear(10.0), linear(0.0, intercept=7.0)])
    onnx.checker.check_model(made, full_check=True)
    symbol = np.array([2, 0, 1, 1, 0], dtype=np.int64).reshape(-1, 1)
    found = Session(made)(column([1, 2, 3, 4, 5]), symbol=symbol)
    assert found["return"].tolist() == [7, 2, 30, 40, 5]


def test_a_forecast_of_models_per_symbol_asks_for_the_symbol() -> None:
    candidates = {"a": graphs.by_symbol([linear(1.0), linear(2.0)]), "b": linear(4.0)}
    both = graphs.forecast(candidates, {"a": 1.0, "b": 0.5}, spread(normal()))
    assert [entry.name for entry in both.graph.input] == ["features", "scale", "symbol"]
    symbol = np.array([[0], [1]], dtype=np.int64)
    found = Session(both)(column([1, 1]), column([0.01, 0.01]), symbol)
    assert found["return"] == pytest.approx([3, 4])
    alone = graphs.forecast(candidates, {"a": 0.0, "b": 0.5}, spread(normal()))
    assert [entry.name for entry in alone.graph.input] == ["features", "scale"]


def test_trees_side_by_side_do_not_mix() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 3)).astype(np.float32)
    fitted = [
        models.load(kind)(x, x[:, i].astype(np.float64), 0, n_estimators=5)
        for i, kind in enumerate(("random_forest", "xgboost", "lightgbm"))
    ]
    candidates = dict(zip("abc", (model.to_onnx() for model in fitted), strict=True))
    symbols = graphs.by_symbol(list(candidates.values()))
    for index, model in enumerate(fitted):
        symbol = np.full((600, 1), index)
        found = Session(symbols)(x, symbol=symbol)["return"]
        assert found == pytest.approx(model.predict(x), abs=1e-6)
    weights = {"a": 0.2, "b": 0.3, "c": 0.5}
    both = graphs.forecast(candidates | {"d": symbols}, weights | {"d": 1.0}, spread(normal()))
    found = Session(both)(x, column(np.full(600, 0.01)), np.full((600, 1), 1))["return"]
    parts = [model.predict(x) for model in fitted]
    expected = 0.2 * parts[0] + 1.3 * parts[1] + 0.5 * parts[2]
    assert found == pytest.approx(expected, abs=1e-6)


# --- how a graph is kept and run


def test_a_forecast_is_plain_onnx_of_the_declared_versions(tmp_path: Path) -> None:
    made = graphs.forecast({"a": linear(1.0, 2.0)}, {"a": 1.0}, spread(normal()))
    onnx.checker.check_model(made, full_check=True)
    assert made.ir_version == graphs.IR_VERSION
    assert {entry.domain: entry.version for entry in made.opset_import} == contract.OPSETS
    assert {node.domain for node in made.graph.node} <= {""}
    graphs.save(made, tmp_path / "a.onnx")
    graphs.save(made, tmp_path / "b.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    assert onnx.load(tmp_path / "a.onnx") == made


def test_a_graph_that_is_none_is_not_written(tmp_path: Path) -> None:
    graph = linear(1.0)
    graph.graph.node.append(helper.make_node("Add", ["return", "nowhere"], ["more"]))
    with pytest.raises(onnx.checker.ValidationError, match="nowhere"):
        graphs.save(graph, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_session_takes_a_graph_its_bytes_or_its_file(tmp_path: Path) -> None:
    graph = linear(2.0)
    graphs.save(graph, tmp_path / "model.onnx")
    for given_ in (graph, graph.SerializeToString(), tmp_path / "model.onnx"):
        assert Session(given_)(column([1, 2]))["return"].tolist() == [2, 4]


@pytest.mark.parametrize("rows", [0, 1, 6, 7, 8, 50])
def test_rows_are_worked_on_in_blocks(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Session(
        graphs.forecast(
            {"a": graphs.by_symbol([linear(1.0, -1.0), linear(0.5, 2.0)])},
            {"a": 1.0},
            spread(normal()),
        )
    )
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 2)).astype(np.float32)
    scale, symbol = column(rng.random(rows)), rng.integers(0, 2, (rows, 1))
    at_once = made(x, scale, symbol)
    monkeypatch.setattr(session, "BLOCK", 7)
    in_blocks = made(x, scale, symbol)
    for name, values in at_once.items():
        assert values.shape == (rows,)
        assert in_blocks[name].tolist() == values.tolist()
