"""What each feature contributes to the output of an ONNX graph.

Contributions are Shapley values. A feature that counts as unknown has the values of the background
rows, so the base of an explanation is the mean forecast of these rows. They are exact for linear
models and for trees, and sampled for every other graph.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, ValueInfoProto, numpy_helper

from stages.forecast.attribution import sampling, tree_shap
from stages.forecast.contract import INPUT, OUTPUT, SYMBOL, Matrix
from stages.forecast.session import Session

_SAME = ("Identity", "Cast")
"""Operators that change nothing but the precision."""


@dataclass(frozen=True)
class Rows:
    """The inputs of a graph.

    Attributes:
        x: features, finite, (rows, features).
        symbol: for a graph of one model per symbol, which of them, (rows,).
    """

    x: Matrix
    symbol: npt.NDArray[np.int64]

    def of(self, symbol: int) -> "Rows":
        """The rows of one symbol."""
        own = self.symbol == symbol
        return Rows(self.x[own], self.symbol[own])


@dataclass(frozen=True)
class Contributions:
    """An explanation of each row.

    Attributes:
        base: the mean forecast of the background, (rows,).
        added: what each feature adds to it, (rows, features).
    """

    base: npt.NDArray[np.float64]
    added: npt.NDArray[np.float64]


def combined(
    graphs: Mapping[str, ModelProto],
    weights: Mapping[str, float],
    rows: Rows,
    background: Rows,
    seed: int,
) -> Contributions:
    """Explain a weighted sum of graphs.

    Args:
        graphs: candidates and baselines by name, with the output `return`.
        weights: of the sum, by name; a graph of weight 0 may be missing.
        rows: to explain.
        background: the rows that a forecast is compared with, with at least one of every symbol
            that has a model of its own.
        seed: of what is sampled.
    """
    base, added = np.zeros(len(rows.x)), np.zeros(rows.x.shape)
    for name, weight in weights.items():
        if weight:
            part = _Walk(graphs[name], seed).explain(OUTPUT, rows, background)
            base += weight * part.base
            added += weight * part.added
    return Contributions(base, added)


class _Walk:
    """Explains the values of a graph, from an output back to the features."""

    def __init__(self, model: ModelProto, seed: int) -> None:
        self._model = model
        self._seed = seed
        self._nodes = {name: node for node in model.graph.node for name in node.output}
        self._constants = {
            tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer
        }

    def explain(self, name: str, rows: Rows, background: Rows) -> Contributions:
        """Explain one of its values."""
        node = self._nodes[name]
        if node.op_type in _SAME:
            return self.explain(node.input[0], rows, background)
        constant = self._constants.get(node.input[1]) if len(node.input) > 1 else None
        if node.op_type == "Add" and constant is not None and constant.size == 1:
            inner = self.explain(node.input[0], rows, background)
            return Contributions(inner.base + constant.item(), inner.added)
        if node.op_type == "GatherElements" and node.input[1] == SYMBOL:
            return self._by_symbol(self._nodes[node.input[0]], rows, background)
        columns = self._columns(node.input[0])
        if (
            columns is not None
            and node.op_type == "MatMul"
            and constant is not None
            and constant.shape == (len(columns), 1)
        ):
            return _linear(constant, columns, rows, background)
        if columns is not None and tree_shap.is_readable(node):
            return _trees(node, columns, rows, background)
        return self._sampled(name, rows, background)

    def _columns(self, name: str) -> list[int] | None:
        """The features that a value consists of; None if it is something else."""
        if name == INPUT:
            shape = self._model.graph.input[0].type.tensor_type.shape
            return list(range(shape.dim[1].dim_value))
        node = self._nodes.get(name)
        if node is None or node.op_type not in (*_SAME, "Gather"):
            return None
        columns = self._columns(node.input[0])
        if columns is None or node.op_type != "Gather":
            return columns
        places = self._constants.get(node.input[1])
        is_of_columns = any(each.name == "axis" and each.i == 1 for each in node.attribute)
        if places is None or places.ndim != 1 or not is_of_columns:
            return None
        return [columns[place] for place in places]

    def _by_symbol(self, every: NodeProto, rows: Rows, background: Rows) -> Contributions:
        """Explain each row by the model of its symbol, compared with rows of that symbol."""
        base, added = np.zeros(len(rows.x)), np.zeros(rows.x.shape)
        for symbol, name in enumerate(every.input):
            own = rows.symbol == symbol
            if own.any():
                part = self.explain(name, rows.of(symbol), background.of(symbol))
                base[own], added[own] = part.base, part.added
        return Contributions(base, added)

    def _sampled(self, name: str, rows: Rows, background: Rows) -> Contributions:
        session = Session(self._ending_in(name))

        def predict(x: Matrix) -> npt.NDArray[np.float64]:
            # The other models of a graph ask for it; what they give is not used.
            symbol = np.zeros((len(x), 1), np.int64)
            return session(x, symbol=symbol)[name].astype(np.float64)

        base, added = sampling.contributions(
            predict, rows.x, background.x, self._used(), self._seed
        )
        return Contributions(np.full(len(rows.x), base), added)

    def _used(self) -> list[int]:
        """The features that the graph reads."""
        used: set[int] = set()
        for node in self._model.graph.node:
            if INPUT in node.input:
                columns = self._columns(node.output[0])
                used.update(self._columns(INPUT) or () if columns is None else columns)
        return sorted(used)

    def _ending_in(self, name: str) -> ModelProto:
        """The graph with one of its values as its output."""
        model = ModelProto()
        model.CopyFrom(self._model)
        del model.graph.output[:]
        # The runtime infers its type.
        model.graph.output.append(ValueInfoProto(name=name))
        return model


def _linear(
    weights: npt.NDArray[np.float32], columns: list[int], rows: Rows, background: Rows
) -> Contributions:
    """Explain the product of some columns with weights, (columns, 1)."""
    slope = weights.astype(np.float64).reshape(-1)
    centre = background.x[:, columns].mean(axis=0, dtype=np.float64)
    added = (rows.x[:, columns] - centre) * slope
    return _placed(float((centre * slope).sum()), added, columns, rows)


def _trees(node: NodeProto, columns: list[int], rows: Rows, background: Rows) -> Contributions:
    """Explain an ensemble of trees on some columns."""
    base, trees = tree_shap.trees(node)
    own, others = rows.x[:, columns], background.x[:, columns]
    added = np.zeros(own.shape)
    for tree in trees:
        mean, part = tree_shap.contributions(tree, own, others)
        base += mean
        added += part
    return _placed(base, added, columns, rows)


def _placed(
    base: float, added: npt.NDArray[np.float64], columns: list[int], rows: Rows
) -> Contributions:
    """Contributions of some columns, (rows, columns), among those of all features."""
    every = np.zeros(rows.x.shape)
    for place, column in enumerate(columns):
        every[:, column] += added[:, place]
    return Contributions(np.full(len(every), base), every)
