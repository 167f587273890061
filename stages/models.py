"""The candidate models: one function each, from arrays to a fitted model and its ONNX graph.

The key of a `models:` entry in `params.yaml` names the candidate; its function is the one called
`kind` (by default the key itself), and its keyword-only arguments are what the entry may set. A
new model is one function here and a few lines there. Heavy libraries are imported where they are
used: a stage that trains a ridge does not pay for xgboost.

Every graph takes `features`, float32 of shape (rows, features), and gives `return`, float32 of
shape (rows, 1): the return over the horizon, as a fraction.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

if TYPE_CHECKING:
    from onnx import ModelProto

Matrix = npt.NDArray[np.float32]
Vector = npt.NDArray[np.float64]
Fraction = Annotated[float, Field(gt=0, le=1)]

OPSETS = {"": 17, "ai.onnx.ml": 3}
"""Operator sets of every graph: old enough for any runtime of the last years."""

INPUT, OUTPUT = "features", "return"

BASELINES = ("zero", "mean")


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


def zero(x: Matrix, y: Vector, seed: int) -> Fitted:
    """Baseline: the price stays where it is."""
    return _linear(np.zeros(x.shape[1]), 0.0)


def mean(x: Matrix, y: Vector, seed: int) -> Fitted:
    """Baseline: the historical mean return of the training rows (Welch and Goyal, 2008)."""
    return _linear(np.zeros(x.shape[1]), float(y.mean()))


def ridge(x: Matrix, y: Vector, seed: int, *, alpha: PositiveFloat = 1.0) -> Fitted:
    """Linear regression on standardised features with an L2 penalty.

    Args:
        alpha: penalty per training row, so that it means the same for any number of rows.
    """
    from sklearn.linear_model import Ridge

    wide = x.astype(np.float64)
    centre, spread = wide.mean(axis=0), wide.std(axis=0)
    spread[spread == 0] = 1.0
    # Cholesky on the normal equations: direct, and with one BLAS thread the same everywhere.
    model = Ridge(alpha=alpha * len(y), solver="cholesky").fit((wide - centre) / spread, y)
    slope = model.coef_ / spread
    return _linear(slope, float(model.intercept_ - slope @ centre), weight=model.coef_)


def random_forest(
    x: Matrix,
    y: Vector,
    seed: int,
    *,
    n_estimators: PositiveInt = 200,
    max_depth: PositiveInt = 6,
    min_samples_leaf: PositiveInt = 50,
    max_features: Fraction = 0.33,
    max_samples: Fraction = 0.5,
    n_jobs: PositiveInt = 1,
) -> Fitted:
    """Random forest (Breiman, 2001) with large leaves, since returns are mostly noise."""
    from sklearn.ensemble import RandomForestRegressor

    model = RandomForestRegressor(
        n_estimators=n_estimators,
        max_depth=max_depth,
        min_samples_leaf=min_samples_leaf,
        max_features=max_features,
        max_samples=max_samples,
        n_jobs=n_jobs,
        random_state=seed,
    ).fit(x, y)
    # Sums in thread order are not reproducible.
    model.n_jobs = 1

    def to_onnx() -> "ModelProto":
        from skl2onnx import to_onnx as convert

        return _named(convert(model, x[:1], target_opset=OPSETS))

    return Fitted(model.predict, to_onnx, _shares(model.feature_importances_))


def xgboost(
    x: Matrix,
    y: Vector,
    seed: int,
    *,
    n_estimators: PositiveInt = 200,
    max_depth: PositiveInt = 3,
    learning_rate: Fraction = 0.03,
    min_child_weight: NonNegativeFloat = 50.0,
    subsample: Fraction = 0.7,
    colsample_bytree: Fraction = 0.5,
    reg_lambda: NonNegativeFloat = 1.0,
) -> Fitted:
    """Gradient-boosted trees (Chen and Guestrin, 2016)."""
    from xgboost import XGBRegressor

    model = XGBRegressor(
        n_estimators=n_estimators,
        max_depth=max_depth,
        learning_rate=learning_rate,
        min_child_weight=min_child_weight,
        subsample=subsample,
        colsample_bytree=colsample_bytree,
        reg_lambda=reg_lambda,
        tree_method="hist",
        random_state=seed,
    ).fit(x, y)

    def to_onnx() -> "ModelProto":
        from onnxmltools import convert_xgboost
        from onnxmltools.convert.common.data_types import FloatTensorType

        shape = [("features", FloatTensorType([None, x.shape[1]]))]
        return _named(convert_xgboost(model, initial_types=shape, target_opset=15))

    return Fitted(model.predict, to_onnx, _shares(model.feature_importances_))


def lightgbm(
    x: Matrix,
    y: Vector,
    seed: int,
    *,
    n_estimators: PositiveInt = 200,
    num_leaves: PositiveInt = 8,
    learning_rate: Fraction = 0.03,
    min_child_samples: PositiveInt = 100,
    subsample: Fraction = 0.7,
    colsample_bytree: Fraction = 0.5,
    reg_lambda: NonNegativeFloat = 1.0,
    n_jobs: PositiveInt = 1,
) -> Fitted:
    """Gradient-boosted trees grown by leaf (Ke et al., 2017)."""
    from lightgbm import LGBMRegressor

    model = LGBMRegressor(
        n_estimators=n_estimators,
        num_leaves=num_leaves,
        learning_rate=learning_rate,
        min_child_samples=min_child_samples,
        subsample=subsample,
        subsample_freq=1,
        colsample_bytree=colsample_bytree,
        reg_lambda=reg_lambda,
        n_jobs=n_jobs,
        random_state=seed,
        deterministic=True,
        force_row_wise=True,
        importance_type="gain",
        verbose=-1,
    ).fit(x, y)

    def to_onnx() -> "ModelProto":
        from onnxmltools import convert_lightgbm
        from onnxmltools.convert.common.data_types import FloatTensorType

        shape = [("features", FloatTensorType([None, x.shape[1]]))]
        return _named(convert_lightgbm(model, initial_types=shape, target_opset=15, zipmap=False))

    def predict(rows: Matrix) -> Vector:
        values: Any = model.booster_.predict(rows)
        return np.asarray(values, dtype=np.float64)

    return Fitted(predict, to_onnx, _shares(model.feature_importances_))


_KINDS: dict[str, Callable[..., Fitted]] = {
    function.__name__: function
    for function in (zero, mean, ridge, random_forest, xgboost, lightgbm)
}


def names() -> list[str]:
    """The kinds of model that exist."""
    return list(_KINDS)


def load(kind: str) -> Callable[..., Fitted]:
    """The function that fits a kind of model."""
    return _KINDS[kind]


def _shares(importance: npt.NDArray[Any]) -> Vector:
    importance = np.asarray(importance, dtype=np.float64)
    total = importance.sum()
    return importance / total if total > 0 else importance


def _linear(slope: Vector, intercept: float, weight: Vector | None = None) -> Fitted:
    """A linear model as a graph of two nodes; a baseline is one whose slope is zero."""

    def predict(rows: Matrix) -> Vector:
        return rows.astype(np.float64) @ slope + intercept

    def to_onnx() -> "ModelProto":
        from stages.graphs import linear

        return linear(slope, intercept)

    return Fitted(predict, to_onnx, _shares(np.abs(slope if weight is None else weight)))


def _named(model: "ModelProto") -> "ModelProto":
    from stages.graphs import standardise

    return standardise(model)
