"""What every graph takes and gives, and the types of the arrays around it."""

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]
Vector = npt.NDArray[np.float64]

INPUT, OUTPUT = "features", "return"
"""Of a candidate: float32 (rows, features) in, float32 (rows, 1) out."""

SYMBOL = "symbol"
"""One more input where there is one model per symbol: int64 (rows, 1)."""

SCALE = "scale"
"""The unit of the interval, in units of return. Graphs of former versions took it as an input."""

FORECAST_OUTPUTS = ("return", "lower", "upper", "probability", SCALE)
"""Of a forecast, float32 (rows, 1) each."""

SMALLEST_SCALE = 1e-4
"""A symbol that has hardly moved still gets an interval: its scale counts as at least this."""

OPSETS = {"": 17, "ai.onnx.ml": 3}
"""Operator sets of every graph: old enough for any runtime of the last years."""

BLOCK = 65_536
"""Rows that are worked on at a time where all of them would need too much memory."""
