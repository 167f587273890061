"""What a kind of model gives back, and a model that sees some of the columns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from stages.forecast.contract import Matrix, Vector

if TYPE_CHECKING:
    from onnx import ModelProto


@dataclass(frozen=True)
class Fitted:
    """A fitted model.

    Attributes:
        predict: native prediction, (rows, features) to (rows,).
        to_onnx: the same as a graph.
        importance: share of each feature in the fit, (features,), summing to 1 (or all 0).
    """

    predict: Callable[[Matrix], Vector]
    to_onnx: Callable[[], "ModelProto"]
    importance: Vector


Fit = Callable[[Matrix, Vector], Fitted]


def shares(importance: npt.NDArray[Any]) -> Vector:
    """Importances as shares of their sum; all 0 where that is 0."""
    importance = np.asarray(importance, dtype=np.float64)
    total = importance.sum()
    return importance / total if total > 0 else importance


def of_columns(fit: Fit, columns: Sequence[int]) -> Fit:
    """A fit that sees some columns, and takes all of them like every other.

    The features that it does not see have an importance of 0.
    """

    def fit_columns(x: Matrix, y: Vector) -> Fitted:
        fitted, width = fit(x.take(columns, axis=1), y), x.shape[1]
        importance = np.zeros(width)
        importance[columns] = fitted.importance

        def predict(rows: Matrix) -> Vector:
            return fitted.predict(rows.take(columns, axis=1))

        def to_onnx() -> "ModelProto":
            from stages.forecast.training import graphs

            return graphs.of_columns(fitted.to_onnx(), columns, width)

        return Fitted(predict, to_onnx, importance)

    return fit_columns
