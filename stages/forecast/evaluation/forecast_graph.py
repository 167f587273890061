"""The whole forecast of a horizon as one ONNX graph.

Everything that training and serving must agree on (the combination, the scale, the interval, the
probability) is inside it, so that serving has no arithmetic of its own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

from stages.forecast.contract import (
    FORECAST_OUTPUTS,
    INPUT,
    OUTPUT,
    SCALE,
    SMALLEST_SCALE,
    SYMBOL,
)
from stages.forecast.evaluation.scale import LogScale
from stages.forecast.scoring.spread import Spread
from stages.forecast.training.graphs import as_model, embed


class _Builder:
    """Nodes and constants of a graph, as they are added."""

    def __init__(self, nodes: list[onnx.NodeProto], constants: list[TensorProto]) -> None:
        self.nodes, self.constants = nodes, constants

    def constant(self, name: str, values: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype=dtype), name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output


def forecast_graph(
    candidates: Mapping[str, ModelProto],
    weights: Mapping[str, float],
    scale: LogScale,
    spread: Spread,
    features: Sequence[str],
) -> ModelProto:
    """The weighted sum of candidates, its interval and its probability of a rise.

    Candidates of weight 0 are left out. Inputs: `features` (rows, features) and, with one model
    per symbol, `symbol` (rows, 1). Outputs, float32 (rows, 1) each: `return`; `lower` and `upper`,
    the split-conformal interval (Lei et al., 2018); `probability` that the return is above zero,
    from the distribution of the same errors; `scale`, by which the errors are divided.

    Args:
        candidates: graphs by name.
        weights: of the candidates.
        scale: how far a return spreads, by some of the features.
        spread: of the forecast's errors divided by this scale.
        features: names of the columns of `features`, in order.
    """
    used = {name: candidates[name] for name, weight in weights.items() if weight != 0}
    nodes, constants, outputs = embed(used)
    build = _Builder(nodes, constants)
    together = build.node("Concat", outputs, "together", axis=1)
    column = build.constant("weights", [[weights[name]] for name in used])
    build.node("MatMul", [together, column], OUTPUT)
    _add_scale(build, scale, features)
    _add_distribution(build, spread)

    inputs = [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, len(features)])]
    if any(entry.name == SYMBOL for model in used.values() for entry in model.graph.input):
        inputs.append(helper.make_tensor_value_info(SYMBOL, TensorProto.INT64, [None, 1]))
    graph = helper.make_graph(
        build.nodes,
        "forecast",
        inputs,
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1])
            for name in FORECAST_OUTPUTS
        ],
        build.constants,
    )
    return as_model(graph)


def _add_scale(build: _Builder, scale: LogScale, features: Sequence[str]) -> None:
    """The scale, in double precision: then it does not depend on how a processor computes exp."""

    def double(name: str, values: npt.ArrayLike) -> str:
        return build.constant(name, values, np.float64)

    places = [features.index(name) for name in scale.names]
    build.node(
        "Gather", [INPUT, build.constant("places", places, np.int64)], "volatilities", axis=1
    )
    build.node("Cast", ["volatilities"], "wide", to=TensorProto.DOUBLE)
    smallest = double("smallest", [SMALLEST_SCALE])
    build.node("Log", [build.node("Max", ["wide", smallest], "positive")], "logs")
    slope = double("slope", np.reshape(scale.slope, (-1, 1)))
    intercept = double("intercept", [scale.intercept])
    build.node("Add", [build.node("MatMul", ["logs", slope], "sloped"), intercept], "log_scale")
    build.node("Max", [build.node("Exp", ["log_scale"], "spreads"), smallest], "wide_scale")
    build.node("Cast", ["wide_scale"], SCALE, to=TensorProto.FLOAT)


def _add_distribution(build: _Builder, spread: Spread) -> None:
    """The interval and the probability of a rise."""
    node, constant = build.node, build.constant
    for side, quantile in (("lower", spread.lower), ("upper", spread.upper)):
        reach = node("Mul", [SCALE, constant(f"{side}_quantile", [quantile])], f"{side}_reach")
        node("Add", [OUTPUT, reach], side)
    # Share of errors above -return / scale, linear between the quantiles of the grid.
    negative = node("Neg", [node("Div", [OUTPUT, SCALE], "ratio")], "threshold")
    start = spread.grid[:-1].reshape(1, -1)
    steps = np.maximum(np.diff(spread.grid), 1e-9).reshape(1, -1)
    beyond = node("Sub", [negative, constant("grid", start)], "beyond")
    position = node("Div", [beyond, constant("steps", steps)], "position")
    within = node("Clip", [position, constant("none", 0.0), constant("one", 1.0)], "within")
    below = node("ReduceMean", [within], "below", axes=[1], keepdims=1)
    node("Sub", [constant("certain", [1.0]), below], "probability")
