"""What every graph takes and gives, and the types of the arrays around it."""

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]
Vector = npt.NDArray[np.float64]

INPUT, OUTPUT = "features", "return"
"""Of a candidate: float32 (rows, features) in, float32 (rows, 1) out."""

SCALE, SYMBOL = "scale", "symbol"
"""More inputs of a forecast: float32 (rows, 1), and int64 (rows, 1) with one model per symbol."""

FORECAST_OUTPUTS = ("return", "lower", "upper", "probability")
"""Of a forecast, float32 (rows, 1) each."""

OPSETS = {"": 17, "ai.onnx.ml": 3}
"""Operator sets of every graph: old enough for any runtime of the last years."""

BLOCK = 65_536
"""Rows that are worked on at a time where all of them would need too much memory."""
