from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import helper

from stages.forecast.contract import Matrix
from stages.forecast.session import Session
from stages.forecast.training import graphs, models


def linear(*slope: float, intercept: float = 0.0) -> onnx.ModelProto:
    return graphs.linear(np.array(slope, dtype=np.float64), intercept)


def column(values: npt.ArrayLike) -> Matrix:
    return np.asarray(values, dtype=np.float32).reshape(-1, 1)


# --- one model per symbol


def test_each_row_is_answered_by_the_model_of_its_symbol() -> None:
    graph = graphs.by_symbol([linear(1.0), linear(10.0), linear(0.0, intercept=7.0)])
    onnx.checker.check_model(graph, full_check=True)
    symbol = np.array([2, 0, 1, 1, 0], dtype=np.int64).reshape(-1, 1)
    outputs = Session(graph)(column([1, 2, 3, 4, 5]), symbol=symbol)
    assert outputs["return"].tolist() == [7, 2, 30, 40, 5]


def test_each_tree_answers_for_its_symbol() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 3)).astype(np.float32)
    fitted = [
        models.load(kind)(x, x[:, i].astype(np.float64), 0, n_estimators=5)
        for i, kind in enumerate(("random_forest", "xgboost", "lightgbm"))
    ]
    symbols = Session(graphs.by_symbol([model.to_onnx() for model in fitted]))
    for index, model in enumerate(fitted):
        returns = symbols(x, np.full((600, 1), index))["return"]
        assert returns == pytest.approx(model.predict(x), abs=1e-6)


def test_a_linear_graph_does_not_cancel() -> None:
    """A nearly constant feature has a large slope, and the intercept is as large."""
    slope, x = np.array([4e4]), np.float32(1.001) + np.arange(5, dtype=np.float32) * 1e-6
    session = Session(graphs.linear(slope, -4e4 * 1.001))
    expected = x.astype(np.float64) * 4e4 - 4e4 * 1.001
    assert session(x.reshape(-1, 1))["return"] == pytest.approx(expected, rel=1e-6)


# --- how a graph is kept and run


def test_a_graph_that_is_none_is_not_written(tmp_path: Path) -> None:
    graph = linear(1.0)
    graph.graph.node.append(helper.make_node("Add", ["return", "nowhere"], ["more"]))
    with pytest.raises(onnx.checker.ValidationError, match="nowhere"):
        graphs.save(graph, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_session_takes_a_graph_its_bytes_or_its_file(tmp_path: Path) -> None:
    graph = linear(2.0)
    graphs.save(graph, tmp_path / "model.onnx")
    for source in (graph, graph.SerializeToString(), tmp_path / "model.onnx"):
        assert Session(source)(column([1, 2]))["return"].tolist() == [2, 4]
