"""Run an ONNX graph: what training, evaluation and serving share.

Knows how a graph is called, not how it is built, so that a server needs no library for that.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

# onnxruntime reports its use to its makers unless this is set before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime as ort

from stages.forecast.contract import BLOCK, INPUT, SCALE, SYMBOL, Matrix

if TYPE_CHECKING:
    from onnx import ModelProto


class Session:
    """A graph ready to run on one thread, so that a sum is the same everywhere.

    Attributes:
        inputs: what it takes: `features`, and perhaps `symbol` or, in former versions, `scale`.
        width: how many features.
    """

    def __init__(self, model: "ModelProto | bytes | Path") -> None:
        if isinstance(model, bytes):
            content = model
        else:
            content = model.read_bytes() if isinstance(model, Path) else model.SerializeToString()
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self._session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        arrays = {entry.name: entry.shape for entry in self._session.get_inputs()}
        self.inputs = tuple(arrays)
        self._outputs = [entry.name for entry in self._session.get_outputs()]
        self.width: int = arrays[INPUT][1]

    def __call__(
        self,
        features: Matrix,
        symbol: npt.NDArray[np.int64] | None = None,
        scale: Matrix | None = None,
    ) -> dict[str, npt.NDArray[np.float32]]:
        """Run the graph on rows, a block at a time; returns its outputs, (rows,) each."""
        arrays: dict[str, Any] = {INPUT: features, SCALE: scale, SYMBOL: symbol}
        inputs = {name: arrays[name] for name in self.inputs}
        if len(features) <= BLOCK:
            columns = self._session.run(self._outputs, inputs)
        else:
            blocks = [
                self._session.run(
                    self._outputs,
                    {name: value[start : start + BLOCK] for name, value in inputs.items()},
                )
                for start in range(0, len(features), BLOCK)
            ]
            columns = [np.concatenate(parts) for parts in zip(*blocks, strict=True)]
        return {
            name: values.reshape(-1) for name, values in zip(self._outputs, columns, strict=True)
        }
