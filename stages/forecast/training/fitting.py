"""Fit a candidate to rows, pooled or one model per symbol, as a graph that predicts alike."""

import numpy as np
import numpy.typing as npt
from onnx import ModelProto

from stages.common.errors import DataError
from stages.forecast.contract import Vector
from stages.forecast.session import Session
from stages.forecast.training import graphs
from stages.forecast.training.arrays import Dataset, Joined
from stages.forecast.training.fitted import Fit, Fitted, shares

MIN_ROWS = 100
"""One model per symbol: a symbol with fewer training rows gets no model."""

PARITY = 1e-5
"""Largest difference between a native prediction and its graph, in units of return."""

PARITY_ROWS = 20_000

Rows = npt.NDArray[np.intp]


def fit_per_symbol(fit: Fit, data: Dataset | Joined, rows: Rows) -> dict[int, Fitted]:
    """One model per symbol that has at least `MIN_ROWS` of the rows."""
    parts = {index: rows[data.symbol[rows] == index] for index in range(len(data.names))}
    return {
        index: fit(data.x[part], data.y[part])
        for index, part in parts.items()
        if len(part) >= MIN_ROWS
    }


def predict_per_symbol(fitted: dict[int, Fitted], data: Dataset | Joined, rows: Rows) -> Vector:
    """Predict each row by the model of its symbol, which must exist."""
    prediction = np.empty(len(rows))
    for index, model in fitted.items():
        own = data.symbol[rows] == index
        if own.any():
            prediction[own] = model.predict(data.x[rows[own]])
    return prediction


def fit_graph(fit: Fit, data: Dataset | Joined, scope: str, name: str) -> tuple[ModelProto, Vector]:
    """Fit to every row, as a graph that is checked against the model.

    Args:
        fit: of the candidate.
        data: its rows; each symbol has at least `MIN_ROWS` of them.
        scope: `pooled` or `per_symbol`.
        name: of the candidate, for the error.

    Returns:
        The graph, and the share of each feature in the fit, (features,).

    Raises:
        DataError: the graph does not predict what the model predicts.
    """
    every = np.arange(len(data.y))
    sample = every[:: max(1, len(every) // PARITY_ROWS)]
    if scope == "pooled":
        model = fit(data.x, data.y)
        graph, importance = model.to_onnx(), model.importance
        native = model.predict(data.x[sample])
    else:
        fitted = fit_per_symbol(fit, data, every)
        sample = sample[data.symbol[sample] >= 0]
        graph = graphs.by_symbol([fitted[index].to_onnx() for index in sorted(fitted)])
        importance = shares(np.sum([fitted[index].importance for index in sorted(fitted)], axis=0))
        native = predict_per_symbol(fitted, data, sample)
    served = Session(graph)(data.x[sample], data.symbol[sample].reshape(-1, 1))["return"]
    check_parity(np.asarray(native, dtype=np.float64), served.astype(np.float64), name)
    return graph, importance


def check_parity(native: Vector, graph: Vector, name: str) -> None:
    """Refuse a graph that does not predict what its model predicts.

    Raises:
        DataError: some prediction differs by more than `PARITY`.
    """
    apart = np.abs(native - graph)
    if not (apart <= PARITY).all():
        raise DataError(
            f"models.{name}: {int((~(apart <= PARITY)).sum())} of {len(native)} predictions of the "
            f"ONNX graph differ from the model's by up to {np.nanmax(apart):.2g}; this is a fault "
            "of the conversion: report it, or take the model out of params.yaml"
        )
