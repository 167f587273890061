"""The candidate models: one function each, from arrays to a fitted model and its ONNX graph.

The key of a `models:` entry in `params.yaml` names the candidate; its function is the one called
`kind` (by default the key itself), and its keyword-only arguments are what the entry may set. A
new model is one function, here or in a module of its own, an entry of `_KINDS`, and a few lines in
`params.yaml`. Heavy libraries are imported where they are used: a stage that trains a ridge does
not pay for xgboost.

The smallest leaf of a tree is a share of the training rows (`min_leaf`), so that a tree has as many
leaves at most whether the rows are thousands or millions. Leaves of a fixed number of rows would
leave few splits in a small panel, and fit the noise of a large one.

Every graph takes `features`, float32 of shape (rows, features), and gives `return`, float32 of
shape (rows, 1): the return over the horizon, as a fraction.
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from stages.common.running import without
from stages.forecast.contract import BLOCK, OPSETS, Matrix, Vector
from stages.forecast.training.fitted import Fitted, shares
from stages.forecast.training.lstm import lstm

if TYPE_CHECKING:
    from lightgbm import Booster
    from onnx import ModelProto

Fraction = Annotated[float, Field(gt=0, le=1)]
Leaf = Annotated[float, Field(gt=0, le=0.5)]


def ridge(x: Matrix, y: Vector, seed: int, *, alpha: PositiveFloat = 10.0) -> Fitted:
    """Linear regression on standardised features with an L2 penalty.

    Args:
        alpha: penalty per training row, so that it means the same for any number of rows.
    """
    count, features = x.shape
    centre, level = x.mean(axis=0, dtype=np.float64), float(y.mean())
    # Normal equations, summed over blocks of rows: no copy of the matrix in double precision.
    gram, moment = np.zeros((features, features)), np.zeros(features)
    for start in range(0, count, BLOCK):
        wide = x[start : start + BLOCK] - centre
        gram += wide.T @ wide
        moment += wide.T @ (y[start : start + BLOCK] - level)
    spread = np.sqrt(np.diag(gram) / count)
    spread[spread == 0] = 1.0
    penalised = gram / np.outer(spread, spread) + alpha * count * np.eye(features)
    weight = np.linalg.solve(penalised, moment / spread)
    slope = weight / spread
    return _linear(slope, float(level - slope @ centre), weight)


def random_forest(
    x: Matrix,
    y: Vector,
    seed: int,
    *,
    n_estimators: PositiveInt = 100,
    max_depth: PositiveInt = 4,
    min_leaf: Leaf = 0.02,
    max_features: Fraction = 0.33,
    max_samples: Fraction = 0.25,
    n_jobs: PositiveInt = 2,
) -> Fitted:
    """Random forest (Breiman, 2001) with large leaves, since returns are mostly noise.

    Args:
        min_leaf: smallest leaf, as a share of the training rows; a tree sees `max_samples` of them.
        n_jobs: trees grown at the same time; the forest does not depend on it.
    """
    with without("pandas"):
        from sklearn.ensemble import RandomForestRegressor

    model = RandomForestRegressor(
        n_estimators=n_estimators,
        max_depth=max_depth,
        min_samples_leaf=leaf_rows(min_leaf, len(x)),
        max_features=max_features,
        max_samples=max_samples,
        n_jobs=n_jobs,
        random_state=seed,
    ).fit(x, y)
    # Trees grow alike in any number of threads; only the sum of their predictions does not.
    model.n_jobs = 1
    example = x[:1].copy()

    def to_onnx() -> "ModelProto":
        with without("pandas"):
            from skl2onnx import to_onnx as convert

        return _named(convert(model, example, target_opset=OPSETS))

    return Fitted(model.predict, to_onnx, shares(model.feature_importances_))


def xgboost(
    x: Matrix,
    y: Vector,
    seed: int,
    *,
    n_estimators: PositiveInt = 50,
    max_depth: PositiveInt = 2,
    learning_rate: Fraction = 0.03,
    min_leaf: Leaf = 0.05,
    subsample: Fraction = 0.7,
    colsample_bytree: Fraction = 0.5,
    reg_lambda: NonNegativeFloat = 1.0,
    n_jobs: PositiveInt = 1,
) -> Fitted:
    """Gradient-boosted trees (Chen and Guestrin, 2016).

    Args:
        min_leaf: smallest leaf, as a share of the training rows; a tree sees `subsample` of them.
        n_jobs: threads; the trees do not depend on it, and on few rows one is the fastest.
    """
    with without("sklearn", "pandas"):
        from xgboost import QuantileDMatrix, train

    model = train(
        {
            "objective": "reg:squarederror",
            "tree_method": "hist",
            "max_depth": max_depth,
            "learning_rate": learning_rate,
            # The Hessian of a squared error is 1 a row.
            "min_child_weight": leaf_rows(min_leaf, len(x)),
            "subsample": subsample,
            "colsample_bytree": colsample_bytree,
            "reg_lambda": reg_lambda,
            "nthread": n_jobs,
            "seed": seed,
        },
        QuantileDMatrix(x, label=y, nthread=n_jobs),
        num_boost_round=n_estimators,
    )
    columns = x.shape[1]
    gains = model.get_score(importance_type="gain")
    importance = np.array([gains.get(f"f{column}", 0.0) for column in range(columns)])

    def to_onnx() -> "ModelProto":
        with without("sklearn", "pandas"):
            from onnxmltools import convert_xgboost
            from onnxmltools.convert.common.data_types import FloatTensorType

        shape = [("features", FloatTensorType([None, columns]))]
        return _named(convert_xgboost(model, initial_types=shape, target_opset=15))

    return Fitted(model.inplace_predict, to_onnx, shares(importance))


def lightgbm(
    x: Matrix,
    y: Vector,
    seed: int,
    *,
    n_estimators: PositiveInt = 50,
    num_leaves: PositiveInt = 4,
    learning_rate: Fraction = 0.03,
    min_leaf: Leaf = 0.05,
    subsample: Fraction = 0.7,
    colsample_bytree: Fraction = 0.5,
    reg_lambda: NonNegativeFloat = 1.0,
    n_jobs: PositiveInt = 1,
) -> Fitted:
    """Gradient-boosted trees grown by leaf (Ke et al., 2017).

    Args:
        min_leaf: smallest leaf, as a share of the training rows; a tree sees `subsample` of them.
        n_jobs: threads; the trees do not depend on it, and on few rows one is the fastest.
    """
    with without("sklearn", "pandas"):
        from lightgbm import Dataset, train

    params = {
        "objective": "regression",
        "num_leaves": num_leaves,
        "learning_rate": learning_rate,
        "min_data_in_leaf": leaf_rows(min_leaf, len(x)),
        "bagging_fraction": subsample,
        "bagging_freq": 1,
        "feature_fraction": colsample_bytree,
        "lambda_l2": reg_lambda,
        "num_threads": n_jobs,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    model = train(params, Dataset(x, label=y, params=params), num_boost_round=n_estimators)

    def to_onnx() -> "ModelProto":
        with without("sklearn", "pandas"):
            from onnxmltools import convert_lightgbm
            from onnxmltools.convert.common.data_types import FloatTensorType

        shape = [("features", FloatTensorType([None, model.num_feature()]))]
        exact = _with_float32_thresholds(model)
        return _named(convert_lightgbm(exact, initial_types=shape, target_opset=15, zipmap=False))

    def predict(rows: Matrix) -> Vector:
        values: Any = model.predict(rows)
        return np.asarray(values, dtype=np.float64)

    return Fitted(predict, to_onnx, shares(model.feature_importance("gain")))


_KINDS: dict[str, Callable[..., Fitted]] = {
    function.__name__: function for function in (ridge, random_forest, xgboost, lightgbm, lstm)
}


def names() -> list[str]:
    """The kinds of model that exist."""
    return list(_KINDS)


def load(kind: str) -> Callable[..., Fitted]:
    """The function that fits a kind of model."""
    return _KINDS[kind]


def leaf_rows(share: float, rows: int) -> int:
    """The smallest leaf in rows."""
    return math.ceil(share * rows)


def _linear(slope: Vector, intercept: float, weight: Vector | None = None) -> Fitted:
    """A linear model as a graph of two nodes."""

    def predict(rows: Matrix) -> Vector:
        return rows.astype(np.float64) @ slope + intercept

    def to_onnx() -> "ModelProto":
        from stages.forecast.training.graphs import linear

        return linear(slope, intercept)

    return Fitted(predict, to_onnx, shares(np.abs(slope if weight is None else weight)))


def _with_float32_thresholds(booster: "Booster") -> "Booster":
    """The same model with each threshold rounded down to float32.

    A graph holds float32. `x <= threshold` then splits every float32 `x` as it did; rounded to
    the nearest, a threshold could rise to the next `x` and send it to the other side.
    """
    from lightgbm import Booster

    name = "threshold="
    lines = [
        name + " ".join(map(_rounded_down, line.removeprefix(name).split()))
        if line.startswith(name)
        else line
        for line in booster.model_to_string().split("\n")
        # The sizes of the trees' texts are an index that would no longer fit.
        if not line.startswith("tree_sizes=")
    ]
    return Booster(model_str="\n".join(lines))


def _rounded_down(threshold: str) -> str:
    exact = np.float64(threshold)
    with np.errstate(over="ignore"):
        near = np.float32(exact)
    return repr(float(near if near <= exact else np.nextafter(near, np.float32(-np.inf))))


def _named(model: "ModelProto") -> "ModelProto":
    from stages.forecast.training.graphs import standardise

    return standardise(model)
