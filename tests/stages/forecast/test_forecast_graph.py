import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.forecast import contract, session
from stages.forecast.contract import FORECAST_OUTPUTS, SMALLEST_SCALE, Matrix, Vector
from stages.forecast.evaluation.forecast_graph import forecast_graph
from stages.forecast.evaluation.scale import LogScale, logarithms
from stages.forecast.scoring.spread import Spread
from stages.forecast.session import Session
from stages.forecast.training import graphs, models
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


def probability(point: npt.ArrayLike, scale: npt.ArrayLike, grid: Vector) -> Vector:
    """By the interpolated distribution of the residuals, in double precision."""
    levels = np.linspace(0, 1, len(grid))
    threshold = -np.asarray(point, dtype=np.float64) / np.maximum(scale, SMALLEST_SCALE)
    below: Vector = np.interp(threshold, grid, levels)
    return 1 - below


def follows(column: str = "s") -> LogScale:
    """The scale that one feature is."""
    return LogScale(column, [column], np.array([1.0]), 0.0)


def forecast(
    candidates: Mapping[str, onnx.ModelProto],
    weights: Mapping[str, float],
    grid: npt.ArrayLike,
    features: Sequence[str] = ("x", "s"),
) -> onnx.ModelProto:
    """A forecast whose scale is its feature `s`."""
    return forecast_graph(candidates, weights, follows(), spread(grid), features)


def rows(x: npt.ArrayLike, scale: npt.ArrayLike) -> Matrix:
    """Features and a last one that is the scale."""
    x = np.asarray(x, dtype=np.float32)
    return np.column_stack([x, np.asarray(scale, dtype=np.float32)])


def whole(grid: npt.ArrayLike) -> Session:
    """A forecast whose return is its first feature."""
    return Session(forecast({"a": linear(1.0, 0.0)}, {"a": 1.0}, grid))


# --- the forecast


@given(
    st.integers(0, 2**32),
    st.lists(st.floats(0, 1), min_size=1, max_size=5).filter(any),
    st.integers(1, 40),
    st.integers(2, 60),
)
@panels.examples(60)
def test_a_forecast_is_what_numpy_makes_of_it(
    seed: int, weights: list[float], count: int, points: int
) -> None:
    rng = np.random.default_rng(seed)
    slopes = rng.normal(0, 0.01, (len(weights), 4)) * [1, 1, 1, 0]
    intercepts = rng.normal(0, 0.01, len(weights))
    named = dict(zip("abcde", weights, strict=False))
    candidates = {
        name: graphs.linear(slope, intercept)
        for name, slope, intercept in zip(named, slopes, intercepts, strict=True)
    }
    grid = np.sort(rng.standard_t(3, points))
    session = Session(forecast(candidates, named, grid, ("a", "b", "c", "s")))
    scale = rng.choice([0.0, 1e-6, 0.01, 0.02, 0.5], count).astype(np.float32)
    x = rows(rng.normal(size=(count, 3)), scale)
    outputs = session(x)

    wide = np.maximum(scale.astype(np.float64), SMALLEST_SCALE)
    point = (x.astype(np.float64) @ slopes.T + intercepts) @ np.array(weights)
    assert list(outputs) == list(FORECAST_OUTPUTS)
    assert outputs["return"] == pytest.approx(point, abs=1e-6)
    assert outputs["scale"] == pytest.approx(wide, rel=1e-6)
    assert outputs["lower"] == pytest.approx(point - 1.5 * wide, abs=1e-6)
    assert outputs["upper"] == pytest.approx(point + 2.0 * wide, abs=1e-6)
    # The graph's own return: where residuals are dense, a rounded one moves the probability.
    expected = probability(outputs["return"], scale, grid)
    steepest = 1 / (points - 1) / np.diff(grid).min()
    assert outputs["probability"] == pytest.approx(expected, abs=1e-5 + 1e-5 * min(steepest, 100))


@given(st.integers(0, 2**32), st.integers(2, 201))
@panels.examples(40)
def test_the_probability_rises_with_the_return_and_stays_one(seed: int, points: int) -> None:
    rng = np.random.default_rng(seed)
    # Rounded, so that many residuals are equal.
    grid = np.sort(np.round(rng.standard_t(2, points), int(rng.integers(0, 6))))
    returns = np.sort(np.concatenate([rng.normal(0, 0.05, 300), -0.01 * grid, [-1e6, 0, 1e6]]))
    probability = whole(grid)(rows(returns, np.full(len(returns), 0.01)))["probability"]
    # The runtime sums a row in an order of its own: the last bit may differ between rows.
    assert (np.diff(probability) >= -2.5e-7).all()
    assert (probability[0], probability[-1]) == (0, 1)


def test_the_probability_of_no_forecast_is_that_of_the_residuals() -> None:
    symmetric = whole(np.linspace(-3, 3, 201))
    for scale in (0.0, 0.001, 0.02, 1.0):
        assert symmetric(rows([0], [scale]))["probability"] == pytest.approx([0.5])
    # Three in four residuals were above zero.
    skewed = whole(np.linspace(-1, 3, 201))
    assert skewed(rows([0], [0.02]))["probability"] == pytest.approx([0.75])


def test_the_probability_answers_by_hand() -> None:
    session = whole([-2.0, -1.0, 0.0, 3.0])
    # -return / scale: halfway from the first to the second quantile, at the third, a third of
    # the way to the last, and beyond both ends.
    returns = [0.015, 0.0, -0.01, 0.05, -0.05]
    probability = session(rows(returns, np.full(5, 0.01)))["probability"]
    assert probability == pytest.approx([1 - 0.5 / 3, 1 / 3, (2 / 3) / 3, 1, 0], abs=1e-5)


def test_equal_residuals_make_a_step() -> None:
    session = whole([-1.0, 0.5, 0.5, 0.5, 1.0])
    probability = session(rows([-0.004999, -0.005001], [0.01, 0.01]))["probability"]
    assert probability == pytest.approx([0.75, 0.25], abs=1e-3)


def test_a_symbol_that_has_hardly_moved_gets_the_smallest_scale() -> None:
    session = whole(normal())
    for scale in (0.0, -1.0, 1e-7, SMALLEST_SCALE):
        outputs = session(rows([0.001], [scale]))
        assert outputs["lower"] == pytest.approx([0.001 - 1.5 * SMALLEST_SCALE])
        assert outputs["upper"] == pytest.approx([0.001 + 2.0 * SMALLEST_SCALE])
        assert outputs["probability"] == pytest.approx(probability([0.001], [0.0], normal()))


def test_a_scale_is_a_product_of_powers() -> None:
    scale = LogScale("har", ["s", "r"], np.array([0.7, 0.2]), math.log(1.3))
    graph = forecast_graph(
        {"a": linear(1.0, 0.0, 0.0)}, {"a": 1.0}, scale, spread(normal()), ("r", "x", "s")
    )
    x = np.array([[0.04, 5.0, 0.01], [0.0, 1.0, -3.0]], dtype=np.float32)
    scales = Session(graph)(x)["scale"]
    # What is not above the smallest scale counts as it.
    assert scales == pytest.approx(
        [1.3 * 0.01**0.7 * 0.04**0.2, max(1.3 * SMALLEST_SCALE**0.9, SMALLEST_SCALE)], rel=1e-6
    )
    logs = logarithms(x[:, [2, 0]])
    assert scales == pytest.approx(scale(logs), rel=1e-6)


def test_a_constant_scale_needs_no_column() -> None:
    scale = LogScale("constant", [], np.empty(0), math.log(0.02))
    graph = forecast_graph({"a": linear(1.0)}, {"a": 1.0}, scale, spread(normal()), ("x",))
    for count in (1, 3):
        x = np.ones((count, 1), dtype=np.float32)
        assert Session(graph)(x)["scale"] == pytest.approx([0.02] * count)


def test_a_candidate_without_weight_is_left_out() -> None:
    candidates = {"a": linear(1.0, 0.0), "b": linear(2.0, 0.0), "c": linear(4.0, 0.0)}
    both = forecast(candidates, {"a": 0.5, "b": 0.0, "c": 0.25}, normal())
    assert {tensor.name for tensor in both.graph.initializer} >= {"a/slope", "c/slope"}
    assert not [node for node in both.graph.node if any(n.startswith("b/") for n in node.output)]
    assert not [tensor for tensor in both.graph.initializer if tensor.name.startswith("b/")]
    assert Session(both)(rows([1], [0.01]))["return"] == pytest.approx([1.5])


def test_the_order_of_the_weights_does_not_matter_to_who_gets_them() -> None:
    candidates = {"a": linear(1.0, 0.0), "b": linear(100.0, 0.0)}
    session = Session(forecast(candidates, {"b": 0.01, "a": 0.5}, normal()))
    assert session(rows([1], [0.01]))["return"] == pytest.approx([1.5])


def test_a_forecast_of_models_per_symbol_asks_for_the_symbol() -> None:
    own = graphs.by_symbol([linear(1.0, 0.0), linear(2.0, 0.0)])
    candidates = {"a": own, "b": linear(4.0, 0.0)}
    both = forecast(candidates, {"a": 1.0, "b": 0.5}, normal())
    assert [entry.name for entry in both.graph.input] == ["features", "symbol"]
    symbol = np.array([[0], [1]], dtype=np.int64)
    returns = Session(both)(rows([1, 1], [0.01, 0.01]), symbol)
    assert returns["return"] == pytest.approx([3, 4])
    alone = forecast(candidates, {"a": 0.0, "b": 0.5}, normal())
    assert [entry.name for entry in alone.graph.input] == ["features"]


def test_trees_side_by_side_do_not_mix() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 3)).astype(np.float32)
    fitted = [
        models.load(kind)(x, x[:, i].astype(np.float64), 0, n_estimators=5)
        for i, kind in enumerate(("random_forest", "xgboost", "lightgbm"))
    ]
    candidates = dict(zip("abc", (model.to_onnx() for model in fitted), strict=True))
    symbols = graphs.by_symbol(list(candidates.values()))
    weights = {"a": 0.2, "b": 0.3, "c": 0.5}
    every = candidates | {"d": symbols}
    both = forecast(every, weights | {"d": 1.0}, normal(), ("a", "b", "s"))
    returns = Session(both)(x, np.full((600, 1), 1))["return"]
    parts = [model.predict(x) for model in fitted]
    expected = 0.2 * parts[0] + 1.3 * parts[1] + 0.5 * parts[2]
    assert returns == pytest.approx(expected, abs=1e-6)


def test_a_forecast_is_plain_onnx_of_the_declared_versions(tmp_path: Path) -> None:
    graph = forecast({"a": linear(1.0, 2.0)}, {"a": 1.0}, normal())
    onnx.checker.check_model(graph, full_check=True)
    assert graph.ir_version == graphs.IR_VERSION
    assert {entry.domain: entry.version for entry in graph.opset_import} == contract.OPSETS
    assert {node.domain for node in graph.graph.node} <= {""}
    graphs.save(graph, tmp_path / "a.onnx")
    graphs.save(graph, tmp_path / "b.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    assert onnx.load(tmp_path / "a.onnx") == graph


@pytest.mark.parametrize("count", [0, 1, 6, 7, 8, 50])
def test_rows_are_worked_on_in_blocks(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Session(
        forecast(
            {"a": graphs.by_symbol([linear(1.0, -1.0), linear(0.5, 2.0)])}, {"a": 1.0}, normal()
        )
    )
    rng = np.random.default_rng(0)
    x, symbol = rng.normal(size=(count, 2)).astype(np.float32), rng.integers(0, 2, (count, 1))
    at_once = run(x, symbol)
    monkeypatch.setattr(session, "BLOCK", 7)
    in_blocks = run(x, symbol)
    for name, values in at_once.items():
        assert values.shape == (count,)
        assert in_blocks[name].tolist() == values.tolist()
