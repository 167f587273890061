"""ONNX graphs: the linear model, one model per symbol, and the whole forecast of a horizon.

A graph is data: nothing that is loaded can run code. Everything that training and serving must
agree on (the combination, the interval, the probability) is inside the graph, so that serving
has no arithmetic of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

from stages.forecast.contract import (
    FORECAST_OUTPUTS,
    INPUT,
    OPSETS,
    OUTPUT,
    SCALE,
    SYMBOL,
    Vector,
)

IR_VERSION = 8
"""Old enough for the runtimes of the last years; fixed, so that bytes do not depend on onnx."""

SMALLEST_SCALE = 1e-4
"""A symbol that has hardly moved still gets an interval: volatility counts as at least this."""


@dataclass(frozen=True)
class Spread:
    """How wrong a forecast has been: residuals divided by `scale`.

    Attributes:
        grid: residual quantiles at evenly spaced levels from 0 to 1, for the probability.
        lower, upper: residual quantiles of the interval.
    """

    grid: Vector
    lower: float
    upper: float


def linear(slope: Vector, intercept: float) -> ModelProto:
    """The graph of `features @ slope + intercept`."""
    weights = slope.astype(np.float32).reshape(-1, 1)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", [INPUT, "slope"], ["product"]),
            helper.make_node("Add", ["product", "intercept"], [OUTPUT]),
        ],
        "linear",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, len(slope)])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, 1])],
        [
            numpy_helper.from_array(weights, "slope"),
            numpy_helper.from_array(np.array([intercept], dtype=np.float32), "intercept"),
        ],
    )
    return _model(graph)


def standardise(model: ModelProto) -> ModelProto:
    """Give a converter's graph our names and one fixed header, so that bytes are stable."""
    (old_input,), (old_output,) = model.graph.input, model.graph.output
    renames = {old_input.name: INPUT, old_output.name: OUTPUT}
    for node in model.graph.node:
        node.input[:] = [renames.get(name, name) for name in node.input]
        node.output[:] = [renames.get(name, name) for name in node.output]
    features = old_input.type.tensor_type.shape.dim[1].dim_value
    graph = helper.make_graph(
        list(model.graph.node),
        "candidate",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, features])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, 1])],
        list(model.graph.initializer),
    )
    return _model(graph)


def of_columns(model: ModelProto, columns: Sequence[int], width: int) -> ModelProto:
    """The graph of a model that sees some columns of `width` features."""
    nodes, initializers, (output,) = _embed({"model": model})
    for node in nodes:
        node.input[:] = ["seen" if name == INPUT else name for name in node.input]
    nodes.insert(0, helper.make_node("Gather", [INPUT, "columns"], ["seen"], axis=1))
    nodes.append(helper.make_node("Identity", [output], [OUTPUT]))
    initializers.append(numpy_helper.from_array(np.array(columns, dtype=np.int64), "columns"))
    graph = helper.make_graph(
        nodes,
        "of_columns",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, width])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, 1])],
        initializers,
    )
    return _model(graph)


def by_symbol(models: Sequence[ModelProto]) -> ModelProto:
    """One graph from one model per symbol: input `symbol`, int64 (rows, 1), picks the model."""
    nodes, initializers, outputs = _embed({str(i): model for i, model in enumerate(models)})
    nodes.append(helper.make_node("Concat", outputs, ["all"], axis=1))
    nodes.append(helper.make_node("GatherElements", ["all", SYMBOL], [OUTPUT], axis=1))
    graph = helper.make_graph(
        nodes,
        "by_symbol",
        [
            models[0].graph.input[0],
            helper.make_tensor_value_info(SYMBOL, TensorProto.INT64, [None, 1]),
        ],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, 1])],
        initializers,
    )
    return _model(graph)


def forecast(
    candidates: Mapping[str, ModelProto], weights: Mapping[str, float], spread: Spread
) -> ModelProto:
    """The whole forecast, the weighted sum of candidates, as one graph.

    Candidates of weight 0 are left out. Inputs: `features` (rows, features), `scale` (rows, 1)
    and, with one model per symbol, `symbol` (rows, 1). Outputs, float32 (rows, 1) each:
    `return`; `lower` and `upper`, the split-conformal interval (Lei et al., 2018) whose residuals
    are scaled by recent volatility; `probability` that the return is above zero, from the
    distribution of the same residuals.
    """
    used = {name: candidates[name] for name, weight in weights.items() if weight != 0}
    nodes, initializers, outputs = _embed(used)

    def constant(name: str, values: npt.ArrayLike) -> str:
        initializers.append(numpy_helper.from_array(np.asarray(values, dtype=np.float32), name))
        return name

    def node(kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    scale = node("Max", [SCALE, constant("smallest", [SMALLEST_SCALE])], "scaled")
    together = node("Concat", outputs, "together", axis=1)
    column = constant("weights", [[weights[name]] for name in used])
    node("MatMul", [together, column], "return")
    for side, quantile in (("lower", spread.lower), ("upper", spread.upper)):
        reach = node("Mul", [scale, constant(f"{side}_quantile", [quantile])], f"{side}_reach")
        node("Add", ["return", reach], side)
    # Share of residuals above -return / scale, linear between the quantiles of the grid.
    ratio = node("Div", ["return", scale], "ratio")
    negative = node("Neg", [ratio], "threshold")
    start = spread.grid[:-1].reshape(1, -1)
    steps = np.maximum(np.diff(spread.grid), 1e-9).reshape(1, -1)
    beyond = node("Sub", [negative, constant("grid", start)], "beyond")
    position = node("Div", [beyond, constant("steps", steps)], "position")
    within = node("Clip", [position, constant("none", 0.0), constant("one", 1.0)], "within")
    below = node("ReduceMean", [within], "below", axes=[1], keepdims=1)
    node("Sub", [constant("certain", [1.0]), below], "probability")

    inputs = [
        helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, _width(used)]),
        helper.make_tensor_value_info(SCALE, TensorProto.FLOAT, [None, 1]),
    ]
    if any(entry.name == SYMBOL for model in used.values() for entry in model.graph.input):
        inputs.append(helper.make_tensor_value_info(SYMBOL, TensorProto.INT64, [None, 1]))
    graph = helper.make_graph(
        nodes,
        "forecast",
        inputs,
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1])
            for name in FORECAST_OUTPUTS
        ],
        initializers,
    )
    return _model(graph)


def save(model: ModelProto, path: Path) -> None:
    """Check a graph and write it."""
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _model(graph: onnx.GraphProto) -> ModelProto:
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    return helper.make_model(
        graph, producer_name="stages", opset_imports=opsets, ir_version=IR_VERSION
    )


def _width(models: Mapping[str, ModelProto]) -> int:
    """How many features the models take, all the same."""
    first = next(iter(models.values()))
    return int(first.graph.input[0].type.tensor_type.shape.dim[1].dim_value)


def _embed(
    models: Mapping[str, ModelProto],
) -> tuple[list[onnx.NodeProto], list[TensorProto], list[str]]:
    """Put graphs side by side over the same inputs; returns nodes, constants and outputs."""
    nodes: list[onnx.NodeProto] = []
    initializers: list[TensorProto] = []
    outputs: list[str] = []
    for name, model in models.items():
        shared = {entry.name for entry in model.graph.input}

        def within(
            inner: str, prefix: str = name, outer: frozenset[str] = frozenset(shared)
        ) -> str:
            return inner if not inner or inner in outer else f"{prefix}/{inner}"

        for original in model.graph.node:
            node = onnx.NodeProto()
            node.CopyFrom(original)
            node.name = within(node.name)
            node.input[:] = [within(inner) for inner in node.input]
            node.output[:] = [within(inner) for inner in node.output]
            nodes.append(node)
        for weights in model.graph.initializer:
            tensor = TensorProto()
            tensor.CopyFrom(weights)
            tensor.name = within(tensor.name)
            initializers.append(tensor)
        outputs.append(within(model.graph.output[0].name))
    return nodes, initializers, outputs
