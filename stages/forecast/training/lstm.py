"""A small LSTM (Hochreiter and Schmidhuber, 1997) over the lags that a row has as columns.

Its bytes must depend neither on the number of cores nor on the processor's instruction set. No
library of networks promises that, so forward and backward pass are written out. They consist of
`+`, `-`, `*`, `/` and square roots, which IEEE 754 rounds in one way, and of sums by `einsum` and
`sum`, whose order is fixed. BLAS and NumPy's `tanh` choose their code by the processor.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from stages.common.options import Names
from stages.forecast.contract import INPUT, OUTPUT, Matrix, Vector
from stages.forecast.training.fitted import Fitted, shares

if TYPE_CHECKING:
    from onnx import ModelProto

Array = npt.NDArray[np.float64]

LIMIT = 5.0
"""A standardised feature is cut at this, so that a crash does not outweigh a year."""

ROWS = 1024
"""Rows that are predicted at a time."""


def lstm(
    x: Matrix,
    y: Vector,
    seed: int,
    *,
    features: Names | None = None,
    units: PositiveInt = 8,
    epochs: PositiveInt = 10,
    batch_size: PositiveInt = 512,
    learning_rate: PositiveFloat = 0.001,
    weight_decay: NonNegativeFloat = 0.01,
) -> Fitted:
    """One layer of LSTM and a linear output from its last state, fitted to the squared error.

    The optimiser is AdamW (Loshchilov and Hutter, 2019) with a rate that falls to 0. The importance
    of a feature is the mean size of the output's gradient.

    Args:
        features: names of the columns of `x`. `return_lag3` is the third newest step of `return_`;
            a column without a lag is the same in every step.
        units: size of the state.
        epochs: passes over the training rows.
        batch_size: rows of one update.
        learning_rate: of the first update.
        weight_decay: what an update takes off a weight, as a share of it and of the rate.
    """
    layout = Layout.of(features or [f"f{column}" for column in range(x.shape[1])], x)
    level, spread = float(y.mean()), float(y.std()) or 1.0
    rng = np.random.default_rng(seed)
    network = Network.random(rng, layout.channels, units)
    mean, square = (Network(*map(np.zeros_like, network)) for _ in range(2))
    batches = -(-len(y) // batch_size)
    first = second = 1.0
    for epoch in range(epochs):
        for batch, rows in enumerate(np.array_split(rng.permutation(len(y)), batches)):
            slopes = network.slopes(layout.steps(x[rows]), (y[rows] - level) / spread)
            rate = learning_rate * (1 - (epoch + batch / batches) / epochs)
            first, second = first * 0.9, second * 0.999
            for weights, slope, one, two in zip(network, slopes, mean, square, strict=True):
                np.add(one, 0.1 * (slope - one), out=one)
                np.add(two, 0.001 * (slope * slope - two), out=two)
                size = np.sqrt(two / (1 - second)) + 1e-8
                step = one / (1 - first) / size + weight_decay * weights
                np.subtract(weights, rate * step, out=weights)
    importance = np.zeros(x.shape[1])
    for start in range(0, len(x), ROWS):
        of_steps = network.sensitivity(layout.steps(x[start : start + ROWS]))
        importance += layout.sensitivity(of_steps)

    def predict(rows: Matrix) -> Vector:
        standard = [
            network.output(layout.steps(rows[start : start + ROWS]))
            for start in range(0, len(rows), ROWS)
        ]
        return np.concatenate(standard) * spread + level

    def to_onnx() -> "ModelProto":
        return _graph(layout, network, level, spread)

    return Fitted(predict, to_onnx, shares(importance))


@dataclass(frozen=True)
class Layout:
    """How the columns of a row become the steps of a sequence.

    Attributes:
        centre, spread: mean and standard deviation of each column, (columns,).
        place: 1 where a column stands in a step and channel, (columns, steps * channels). A
            channel that lacks a lag is 0 there, its mean.
        length: number of steps; the newest is the last.
    """

    centre: Matrix
    spread: Matrix
    place: Matrix
    length: int

    @classmethod
    def of(cls, names: Sequence[str], x: Matrix) -> "Layout":
        """The layout of named columns; their means and deviations are those of `x`."""
        parts = [re.fullmatch(r"(.*lag)(\d+)", name) for name in names]
        lags = sorted({int(part[2]) for part in parts if part}, reverse=True) or [1]
        series = [part[1] if part else name for part, name in zip(parts, names, strict=True)]
        channels = list(dict.fromkeys(series))
        place = np.zeros((len(names), len(lags), len(channels)), dtype=np.float32)
        for column, part in enumerate(parts):
            step = lags.index(int(part[2])) if part else slice(None)
            place[column, step, channels.index(series[column])] = 1
        spread = x.std(axis=0, dtype=np.float64)
        return cls(
            x.mean(axis=0, dtype=np.float64).astype(np.float32),
            np.where(spread > 0, spread, 1).astype(np.float32),
            place.reshape(len(names), -1),
            len(lags),
        )

    @property
    def channels(self) -> int:
        """Number of values in a step."""
        return int(self.place.shape[1]) // self.length

    def steps(self, x: Matrix) -> Array:
        """The sequences of some rows, (steps, channels, rows)."""
        standard = np.clip((x - self.centre) / self.spread, -LIMIT, LIMIT)
        # BLAS may do this: at most one term of each sum is not 0.
        placed = (standard @ self.place).reshape(len(x), self.length, self.channels)
        return np.ascontiguousarray(placed.transpose(1, 2, 0), dtype=np.float64)

    def sensitivity(self, slopes: Array) -> Array:
        """From the output's slope in every step, (steps, channels, rows), to its size by column."""
        flat = slopes.reshape(self.place.shape[1], -1)
        total: Array = np.abs(np.einsum("cs,sr->cr", self.place, flat)).sum(axis=1)
        return total


class _Step(NamedTuple):
    """What the backward pass needs of one step; (units, rows) but for `joined`."""

    joined: Array
    input_gate: Array
    output_gate: Array
    forget_gate: Array
    cell_input: Array
    cell_before: Array
    squashed: Array


class Network(NamedTuple):
    """The weights.

    Attributes:
        gates: (channels + units + 1, 4 * units): from a step's channels, the state and 1 to input,
            output and forget gate and cell input, the order of ONNX.
        out: from the last state to the output, (units,).
    """

    gates: Array
    out: Array

    @classmethod
    def random(cls, rng: np.random.Generator, channels: int, units: int) -> "Network":
        """The weights to begin with, which give 0: nothing but the mean of the target."""
        reach = 1 / np.sqrt(units)
        gates = rng.uniform(-reach, reach, (channels + units + 1, 4 * units))
        # An open forget gate lets the first updates reach the oldest step (Gers et al., 2000).
        gates[-1] = np.repeat([0.0, 0.0, 1.0, 0.0], units)
        return cls(gates, np.zeros(units))

    def output(self, steps: Array) -> Array:
        """The output for sequences of (steps, channels, rows), (rows,)."""
        return self._of_state(self._forward(steps)[0])

    def slopes(self, steps: Array, target: Array) -> "Network":
        """The gradient of the mean squared error, in the shapes of the weights."""
        state, tape = self._forward(steps)
        error = (self._of_state(state) - target) * (2 / len(target))
        of_gates, _ = self._backward(tape, self.out[:, None] * error)
        return Network(of_gates, (state * error).sum(axis=1))

    def sensitivity(self, steps: Array) -> Array:
        """The gradient of the output in every step, (steps, channels, rows)."""
        state, tape = self._forward(steps)
        return self._backward(tape, self.out[:, None] * np.ones_like(state))[1]

    def _of_state(self, state: Array) -> Array:
        output: Array = (self.out[:, None] * state).sum(axis=0)
        return output

    def _forward(self, steps: Array) -> tuple[Array, list[_Step]]:
        """The last state, (units, rows), and every step for the backward pass."""
        units, rows = len(self.out), steps.shape[2]
        # A gate is logistic, tanh at half the size: (1 + tanh(z / 2)) / 2.
        half = np.repeat([0.5, 0.5, 0.5, 1.0], units)[:, None]
        state = cell = np.zeros((units, rows))
        tape = []
        for step in steps:
            joined = np.concatenate([step, state, np.ones((1, rows))])
            total = np.einsum("kj,kr->jr", self.gates, joined)
            gates = half * _tanh(half * total) + (1 - half)
            input_gate, output_gate, forget_gate, cell_input = gates.reshape(4, units, rows)
            before, cell = cell, forget_gate * cell + input_gate * cell_input
            squashed = _tanh(cell)
            state = output_gate * squashed
            tape.append(
                _Step(joined, input_gate, output_gate, forget_gate, cell_input, before, squashed)
            )
        return state, tape

    def _backward(self, tape: list[_Step], of_state: Array) -> tuple[Array, Array]:
        """From the slope in the last state to those in `gates` and in every step."""
        of_gates, of_steps = np.zeros_like(self.gates), []
        channels = len(self.gates) - len(self.out) - 1
        of_cell = np.zeros_like(of_state)
        for joined, entry, leave, keep, fresh, before, squashed in reversed(tape):
            of_cell = of_cell + of_state * leave * (1 - squashed * squashed)
            of_total = np.concatenate(
                [
                    of_cell * fresh * entry * (1 - entry),
                    of_state * squashed * leave * (1 - leave),
                    of_cell * before * keep * (1 - keep),
                    of_cell * entry * (1 - fresh * fresh),
                ]
            )
            of_gates += np.einsum("kr,jr->kj", joined, of_total)
            of_joined = np.einsum("kj,jr->kr", self.gates, of_total)
            of_steps.append(of_joined[:channels])
            of_state, of_cell = of_joined[channels:-1], of_cell * keep
        return of_gates, np.stack(of_steps[::-1])


def _tanh(x: Array) -> Array:
    """The hyperbolic tangent to 1e-8, of +, -, * and / alone.

    Lambert's continued fraction at a quarter of x, doubled twice: tanh(2a) = 2t / (1 + t^2).
    """
    quarter = np.clip(x, -10, 10) / 4
    square = quarter * quarter
    over = quarter * (135135 + square * (17325 + square * (378 + square)))
    value: Array = over / (135135 + square * (62370 + square * (3150 + square * 28)))
    for _ in range(2):
        value = 2 * value / (1 + value * value)
    return value


def _graph(layout: Layout, network: Network, level: float, spread: float) -> "ModelProto":
    """The same as a graph around ONNX's operator LSTM."""
    from onnx import TensorProto, helper, numpy_helper

    from stages.forecast.training.graphs import standardise

    channels, units = layout.channels, len(network.out)
    parts = np.split(network.gates.T[None], [channels, channels + units], axis=2)
    constants: dict[str, npt.NDArray[np.float64] | Matrix] = {
        "centre": layout.centre,
        "spread": layout.spread,
        "lowest": np.array(-LIMIT),
        "highest": np.array(LIMIT),
        "place": layout.place,
        "weights": parts[0],
        "recurrence": parts[1],
        # ONNX has two biases, of which one is enough.
        "bias": np.concatenate([parts[2][:, :, 0], np.zeros((1, 4 * units))], axis=1),
        "out": network.out[:, None] * spread,
        "level": np.array([level]),
    }
    shapes = {"shape": [-1, layout.length, channels], "direction": [0]}
    graph = helper.make_graph(
        [
            helper.make_node("Sub", [INPUT, "centre"], ["centred"]),
            helper.make_node("Div", ["centred", "spread"], ["standard"]),
            helper.make_node("Clip", ["standard", "lowest", "highest"], ["cut"]),
            helper.make_node("MatMul", ["cut", "place"], ["placed"]),
            helper.make_node("Reshape", ["placed", "shape"], ["rows"]),
            helper.make_node("Transpose", ["rows"], ["steps"], perm=[1, 0, 2]),
            helper.make_node(
                "LSTM",
                ["steps", "weights", "recurrence", "bias"],
                ["", "last"],
                hidden_size=units,
            ),
            helper.make_node("Squeeze", ["last", "direction"], ["state"]),
            helper.make_node("MatMul", ["state", "out"], ["product"]),
            helper.make_node("Add", ["product", "level"], [OUTPUT]),
        ],
        "lstm",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, len(layout.centre)])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, 1])],
        [
            *(numpy_helper.from_array(v.astype(np.float32), name) for name, v in constants.items()),
            *(numpy_helper.from_array(np.array(v, np.int64), name) for name, v in shapes.items()),
        ],
    )
    return standardise(helper.make_model(graph))
