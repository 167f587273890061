"""ONNX graphs of candidates: the linear model, what a converter gives, and one model per symbol.

A graph is data: nothing that is loaded can run code.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

from stages.forecast.contract import INPUT, OPSETS, OUTPUT, SYMBOL, Vector

IR_VERSION = 8
"""Old enough for the runtimes of the last years; fixed, so that bytes do not depend on onnx."""


def linear(slope: Vector, intercept: float) -> ModelProto:
    """The graph of `features @ slope + intercept`.

    In double precision: a nearly constant feature has a slope so large that float32 would cancel.
    """
    nodes = [
        helper.make_node("Cast", [INPUT], ["wide"], to=TensorProto.DOUBLE),
        helper.make_node("MatMul", ["wide", "slope"], ["product"]),
        helper.make_node("Add", ["product", "intercept"], ["sum"]),
        helper.make_node("Cast", ["sum"], [OUTPUT], to=TensorProto.FLOAT),
    ]
    weights = [
        numpy_helper.from_array(slope.astype(np.float64).reshape(-1, 1), "slope"),
        numpy_helper.from_array(np.array([intercept], dtype=np.float64), "intercept"),
    ]
    return _candidate("linear", nodes, weights, len(slope))


def standardise(model: ModelProto) -> ModelProto:
    """Give a converter's graph our names and one fixed header, so that bytes are stable."""
    (old_input,), (old_output,) = model.graph.input, model.graph.output
    renames = {old_input.name: INPUT, old_output.name: OUTPUT}
    for node in model.graph.node:
        node.input[:] = [renames.get(name, name) for name in node.input]
        node.output[:] = [renames.get(name, name) for name in node.output]
    width = old_input.type.tensor_type.shape.dim[1].dim_value
    return _candidate("candidate", model.graph.node, model.graph.initializer, width)


def of_columns(model: ModelProto, columns: Sequence[int], width: int) -> ModelProto:
    """The graph of a model that sees some columns of `width` features."""
    nodes, initializers, (output,) = embed({"model": model})
    for node in nodes:
        node.input[:] = ["seen" if name == INPUT else name for name in node.input]
    nodes.insert(0, helper.make_node("Gather", [INPUT, "columns"], ["seen"], axis=1))
    nodes.append(helper.make_node("Identity", [output], [OUTPUT]))
    initializers.append(numpy_helper.from_array(np.array(columns, dtype=np.int64), "columns"))
    return _candidate("of_columns", nodes, initializers, width)


def by_symbol(models: Sequence[ModelProto]) -> ModelProto:
    """One graph from one model per symbol: input `symbol`, int64 (rows, 1), picks the model."""
    nodes, initializers, outputs = embed({str(i): model for i, model in enumerate(models)})
    nodes.append(helper.make_node("Concat", outputs, ["all"], axis=1))
    nodes.append(helper.make_node("GatherElements", ["all", SYMBOL], [OUTPUT], axis=1))
    width = models[0].graph.input[0].type.tensor_type.shape.dim[1].dim_value
    symbol = helper.make_tensor_value_info(SYMBOL, TensorProto.INT64, [None, 1])
    return _candidate("by_symbol", nodes, initializers, width, symbol)


def _candidate(
    name: str,
    nodes: Sequence[onnx.NodeProto],
    constants: Sequence[TensorProto],
    width: int,
    *more_inputs: onnx.ValueInfoProto,
) -> ModelProto:
    """A graph from `width` features, and perhaps more, to a return."""
    features = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, width])
    output = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, 1])
    return as_model(helper.make_graph(nodes, name, [features, *more_inputs], [output], constants))


def save(model: ModelProto, path: Path) -> None:
    """Check a graph and write it."""
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


def as_model(graph: onnx.GraphProto) -> ModelProto:
    """Give a graph one fixed header, so that bytes are stable."""
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    return helper.make_model(
        graph, producer_name="stages", opset_imports=opsets, ir_version=IR_VERSION
    )


def embed(
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
