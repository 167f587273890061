import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from stages import params
from stages.common import options
from stages.common.paths import DATASETS
from stages.forecast import contract
from stages.forecast.contract import FORECAST_OUTPUTS, Matrix, Vector
from stages.forecast.evaluation.forecast_graph import forecast_graph
from stages.forecast.evaluation.scale import LogScale
from stages.forecast.scoring.spread import spread
from stages.forecast.session import Session
from stages.forecast.training import graphs, models, train_params
from stages.forecast.training.arrays import Dataset
from stages.forecast.training.fitted import Fitted, shares
from tests import datasets

LEARNERS = ("ridge", "random_forest", "xgboost", "lightgbm")
TREES = ("random_forest", "xgboost", "lightgbm")
KINDS = tuple(models.names())
SIZES: dict[str, dict[str, Any]] = {
    "random_forest": {"n_estimators": 30, "max_depth": 6, "min_leaf": 0.005},
    "xgboost": {"n_estimators": 100, "max_depth": 3, "min_leaf": 0.005},
    "lightgbm": {"n_estimators": 100, "num_leaves": 8, "min_leaf": 0.01},
    "lstm": {"epochs": 1, "learning_rate": 0.01},
}

DIGESTS = """
import hashlib, json, os, sys
if hasattr(os, "sched_setaffinity"):  # Linux
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import numpy as np
from threadpoolctl import threadpool_limits
from stages.forecast.training import models
given = np.load(sys.argv[1])
found = {}
with threadpool_limits(limits=1):
    for kind in models.names():
        options = json.loads(sys.argv[2])[kind]
        fitted = models.load(kind)(given["x"], given["y"], 0, **options)
        graph = fitted.to_onnx().SerializeToString(deterministic=True)
        made = [graph, fitted.predict(given["x"]).tobytes(), fitted.importance.tobytes()]
        found[kind] = [hashlib.sha256(content).hexdigest() for content in made]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def data(prepared: Path) -> Dataset:
    """The training rows of the real sample, one session ahead."""
    return Dataset(prepared / DATASETS / "short" / "train.parquet")


@pytest.fixture(scope="module")
def fitted(data: Dataset) -> dict[str, Fitted]:
    """Every kind of model on the real rows, with trees of many splits."""
    with threadpool_limits(limits=1):
        return {kind: fit(kind, data) for kind in KINDS}


def fit(kind: str, data: Dataset, seed: int = 0, **options: Any) -> Fitted:
    return models.load(kind)(data.x, data.y, seed, **(sizes(data)[kind] | options))


def sizes(data: Dataset) -> dict[str, dict[str, Any]]:
    """The options of every kind; the LSTM has to know which columns are lags."""
    options: dict[str, dict[str, Any]] = {kind: dict(SIZES.get(kind, {})) for kind in KINDS}
    options["lstm"]["features"] = data.features
    return options


def digests(model: Fitted, x: Matrix) -> list[str]:
    graph = model.to_onnx().SerializeToString(deterministic=True)
    parts = [graph, model.predict(x).tobytes(), model.importance.tobytes()]
    return [hashlib.sha256(content).hexdigest() for content in parts]


def apart(model: Fitted, rows: Matrix) -> float:
    """The largest difference between a model and its graph."""
    served = Session(model.to_onnx())(rows)["return"]
    return float(np.abs(model.predict(rows) - served).max())


def splits(model: onnx.ModelProto) -> list[tuple[int, np.float32]]:
    """Feature and threshold of every split in a graph of trees."""
    (node,) = (n for n in model.graph.node if n.op_type == "TreeEnsembleRegressor")
    attributes = {attribute.name: attribute for attribute in node.attribute}
    return [
        (feature, np.float32(value))
        for feature, value, mode in zip(
            attributes["nodes_featureids"].ints,
            attributes["nodes_values"].floats,
            attributes["nodes_modes"].strings,
            strict=True,
        )
        if mode != b"LEAF"
    ]


# --- the same bytes everywhere


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_fit_gives_the_same_bytes(
    kind: str, data: Dataset, fitted: dict[str, Fitted]
) -> None:
    with threadpool_limits(limits=1):
        again = fit(kind, data)
    assert digests(again, data.x) == digests(fitted[kind], data.x)


def test_one_core_gives_the_same_bytes(
    data: Dataset, fitted: dict[str, Fitted], tmp_path: Path
) -> None:
    np.savez(tmp_path / "rows.npz", x=data.x, y=data.y)
    ran = subprocess.run(
        [sys.executable, "-c", DIGESTS, str(tmp_path / "rows.npz"), json.dumps(sizes(data))],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(datasets.ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(ran.stdout) == {kind: digests(fitted[kind], data.x) for kind in KINDS}


@pytest.mark.parametrize("kind", TREES)
def test_threads_do_not_change_the_bytes(kind: str, data: Dataset) -> None:
    one, more = (
        models.load(kind)(data.x, data.y, 0, n_estimators=10, n_jobs=jobs) for jobs in (1, 3)
    )
    assert digests(more, data.x) == digests(one, data.x)


@pytest.mark.parametrize("kind", TREES)
def test_the_seed_counts(kind: str, data: Dataset, fitted: dict[str, Fitted]) -> None:
    other = fit(kind, data, seed=1)
    assert not np.array_equal(other.predict(data.x), fitted[kind].predict(data.x))


# --- the graph is the model


@pytest.mark.parametrize("kind", KINDS)
def test_the_graph_predicts_what_the_model_predicts(
    kind: str, data: Dataset, fitted: dict[str, Fitted]
) -> None:
    assert apart(fitted[kind], data.x) < 1e-7


@pytest.mark.parametrize("kinds", [*((kind,) for kind in KINDS), LEARNERS], ids="-".join)
def test_a_forecast_is_the_same_in_any_number_of_rows(
    kinds: tuple[str, ...], data: Dataset, fitted: dict[str, Fitted]
) -> None:
    # The server computes together what is asked for at once, and a replay computes it alone.
    scale = LogScale("vol_14", ["vol_14"], np.array([1.0]), 0.0)
    width = spread(data.y / data.x[:, data.features.index("vol_14")], 0.9)
    weights = {kind: 1 / len(kinds) for kind in kinds}
    candidates = {kind: fitted[kind].to_onnx() for kind in kinds}
    served = Session(forecast_graph(candidates, weights, scale, width, data.features))
    rows = data.x[:600]

    def bits(size: int) -> list[bytes]:
        parts = [served(rows[start : start + size]) for start in range(0, len(rows), size)]
        return [b"".join(part[name].tobytes() for part in parts) for name in FORECAST_OUTPUTS]

    alone = bits(1)
    for size in (2, 3, 7, 11, 32, 64, 101, 600):
        assert bits(size) == alone, size


@pytest.mark.parametrize("kind", TREES)
@pytest.mark.parametrize("beside", [0, -1, 1], ids=["at", "below", "above"])
def test_rows_at_a_threshold_take_the_same_side(
    kind: str, beside: int, data: Dataset, fitted: dict[str, Fitted]
) -> None:
    nodes = splits(fitted[kind].to_onnx())
    assert len(nodes) > 300
    rows = data.x[np.random.default_rng(0).integers(0, len(data.x), len(nodes))].copy()
    for row, (feature, threshold) in zip(rows, nodes, strict=True):
        row[feature] = (
            threshold
            if beside == 0
            else np.nextafter(threshold, np.float32(beside * np.inf), dtype=np.float32)
        )
    assert apart(fitted[kind], rows) < 1e-7


@pytest.mark.parametrize("kind", TREES)
def test_extremes_of_float32_take_the_same_side(
    kind: str, data: Dataset, fitted: dict[str, Fitted]
) -> None:
    limits = np.finfo(np.float32)
    values = [limits.max, limits.min, 0.0, -0.0, limits.tiny, 1e-45, -1e-45, 1e30, -1e30]
    rng = np.random.default_rng(0)
    rows = rng.choice(np.array(values, dtype=np.float32), size=(5000, data.x.shape[1]))
    # scikit-learn sums all values to look for one that is not finite.
    with np.errstate(over="ignore", invalid="ignore"):
        assert apart(fitted[kind], rows) < 1e-7


@pytest.mark.parametrize("kind", LEARNERS)
@pytest.mark.parametrize("size", [1e-6, 1e4], ids=["tiny", "large"])
def test_features_of_any_size_keep_model_and_graph_together(kind: str, size: float) -> None:
    rng = np.random.default_rng(0)
    x = (size * rng.normal(1, 1, size=(2000, 4))).astype(np.float32)
    y = 0.01 * x[:, 0].astype(np.float64) / size + rng.normal(0, 0.01, 2000)
    assert apart(models.load(kind)(x, y, 0), x) < 1e-6


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(width=32, allow_nan=False))
def test_a_rounded_threshold_splits_every_float32_as_before(threshold: float, x: float) -> None:
    rounded = float(models._rounded_down(repr(threshold)))
    assert rounded == np.float64(np.float32(rounded))
    with np.errstate(over="ignore", under="ignore"):
        closest = np.float32(threshold)
        beside = [np.nextafter(closest, np.float32(side)) for side in (-np.inf, np.inf)]
    for value in (x, closest, *beside):
        if np.isfinite(value):
            assert (float(value) <= rounded) == (float(value) <= threshold)


@pytest.mark.parametrize("kind", KINDS)
def test_a_graph_is_plain_onnx_of_the_declared_versions(
    kind: str, data: Dataset, fitted: dict[str, Fitted]
) -> None:
    graph = fitted[kind].to_onnx()
    onnx.checker.check_model(graph, full_check=True)
    assert graph.ir_version == graphs.IR_VERSION
    assert {entry.domain: entry.version for entry in graph.opset_import} == contract.OPSETS
    assert {node.domain for node in graph.graph.node} <= {"", "ai.onnx.ml"}
    assert not graph.functions
    assert not graph.metadata_props
    (input_,), (output,) = graph.graph.input, graph.graph.output
    assert (input_.name, output.name) == (contract.INPUT, contract.OUTPUT)
    width = input_.type.tensor_type.shape.dim
    assert [width[0].dim_value, width[1].dim_value] == [0, data.x.shape[1]]
    served = Session(graph)(data.x[:3])["return"]
    assert served.dtype == np.float32


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", ["constant", "noise"])
def test_a_model_without_a_split_still_has_its_graph(kind: str, target: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 3)).astype(np.float32)
    y = np.full(120, 0.01) if target == "constant" else rng.normal(0, 0.02, 120)
    model = models.load(kind)(x, y, 0)
    assert apart(model, x) < 1e-7
    if target == "constant":
        assert model.predict(x) == pytest.approx(np.full(120, 0.01), abs=1e-6)


# --- what a model says


@pytest.mark.parametrize("kind", KINDS)
def test_importances_are_shares(kind: str, data: Dataset, fitted: dict[str, Fitted]) -> None:
    importance = fitted[kind].importance
    assert importance.shape == (data.x.shape[1],)
    assert (importance >= 0).all()
    assert importance.sum() == pytest.approx(1)


@pytest.mark.parametrize("kind", LEARNERS)
def test_importance_goes_to_the_feature_that_matters(kind: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3000, 4)).astype(np.float32)
    y = np.where(x[:, 2] > 0, 0.01, -0.01) + rng.normal(0, 0.005, 3000)
    assert models.load(kind)(x, y, 0).importance[2] > 0.8


@pytest.mark.parametrize("alpha", [1e-6, 1.0])
@pytest.mark.parametrize("block", [contract.BLOCK, 1000, 8193])
def test_ridge_is_that_of_scikit_learn(
    alpha: float, block: int, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "BLOCK", block)
    peer = make_pipeline(StandardScaler(), Ridge(alpha=alpha * len(data.y), solver="svd"))
    wide = data.x.astype(np.float64)
    expected = peer.fit(wide, data.y).predict(wide)
    model = models.ridge(data.x, data.y, 0, alpha=alpha)
    assert model.predict(data.x) == pytest.approx(expected, abs=1e-10)
    weight = np.abs(peer[-1].coef_)
    assert model.importance == pytest.approx(weight / weight.sum(), abs=1e-7)


def test_ridge_gives_nothing_to_a_feature_that_never_varies() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100_003, 3)).astype(np.float32)
    x[:, 1] = 0.1
    y = 0.01 * x[:, 0] + rng.normal(0, 0.01, len(x))
    model = models.ridge(x, y.astype(np.float64), 0)
    other = x.copy()
    other[:, 1] = 1000
    assert model.importance[1] == 0
    assert (model.predict(other) == model.predict(x)).all()


def test_ridge_weighs_a_row_alike_in_any_number_of_rows(data: Dataset) -> None:
    twice = models.ridge(np.tile(data.x, (2, 1)), np.tile(data.y, 2), 0, alpha=0.5)
    once = models.ridge(data.x, data.y, 0, alpha=0.5)
    assert twice.predict(data.x) == pytest.approx(once.predict(data.x), abs=1e-12)


ONE_TREE: dict[str, dict[str, Any]] = {
    "random_forest": {"n_estimators": 1, "max_depth": 20, "max_features": 1.0, "max_samples": 1.0},
    "xgboost": {"n_estimators": 1, "max_depth": 9, "subsample": 1.0, "colsample_bytree": 1.0},
    "lightgbm": {"n_estimators": 1, "num_leaves": 64, "subsample": 1.0, "colsample_bytree": 1.0},
}


@pytest.mark.parametrize("kind", TREES)
@pytest.mark.parametrize("share", [0.05, 0.2])
def test_a_leaf_is_a_share_of_the_rows_however_many_they_are(kind: str, share: float) -> None:
    rng = np.random.default_rng(0)
    for rows in (501, 8000):
        x = rng.normal(size=(rows, 2)).astype(np.float32)
        y = np.sin(3 * x[:, 0].astype(np.float64)) + rng.normal(0, 0.1, rows)
        tree = models.load(kind)(x, y, 0, min_leaf=share, **ONE_TREE[kind])
        _, leaves = np.unique(tree.predict(x), return_counts=True)
        assert models.leaf_rows(share, rows) <= leaves.min()
        assert 2 <= len(leaves) <= 1 / share


def test_the_smallest_leaf_worked_by_hand() -> None:
    assert models.leaf_rows(0.02, 8194) == 164
    assert models.leaf_rows(0.5, 7) == 4
    assert models.leaf_rows(0.001, 20) == 1


@pytest.mark.parametrize("kind", LEARNERS)
def test_a_model_finds_what_is_there(kind: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6000, 3)).astype(np.float32)
    signal: Vector = 0.01 * x[:, 0].astype(np.float64)
    y = signal + rng.normal(0, 0.01, len(x))
    model = models.load(kind)(x[:4000], y[:4000], 0)
    correlation = np.corrcoef(model.predict(x[4000:]), signal[4000:])[0, 1]
    assert correlation > 0.9


# --- options


@pytest.mark.parametrize(
    ("kind", "section"),
    [
        ("ridge", {"alpha": 0}),
        ("ridge", {"alpha": "strong"}),
        ("random_forest", {"max_features": 1.5}),
        ("random_forest", {"max_samples": 0}),
        ("random_forest", {"n_estimators": 0}),
        ("random_forest", {"n_jobs": -1}),
        ("random_forest", {"criterion": "poisson"}),
        ("xgboost", {"learning_rate": 0}),
        ("xgboost", {"subsample": 2}),
        ("random_forest", {"min_leaf": 50}),
        ("xgboost", {"min_leaf": 0}),
        ("xgboost", {"min_child_weight": 50.0}),
        ("lightgbm", {"min_leaf": 0.6}),
        ("xgboost", {"max_depth": 2.5}),
        ("lightgbm", {"reg_lambda": -0.1}),
        ("lightgbm", {"num_leaves": 0}),
        ("lightgbm", {"seed": 3}),
    ],
)
def test_an_option_out_of_range_is_refused(kind: str, section: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        options.validated(models.load(kind), section)


@pytest.mark.parametrize("kind", LEARNERS)
def test_params_yaml_names_every_option_with_its_default(kind: str) -> None:
    settings = params.load(datasets.ROOT / "params.yaml")
    function, arguments = train_params.model(settings.models, kind)
    assert function is models.load(kind)
    assert arguments == options.validated(function, {})


@pytest.mark.parametrize("kind", LEARNERS)
def test_every_option_changes_the_model(kind: str, data: Dataset) -> None:
    x, y = data.x[:2000], data.y[:2000]
    small: dict[str, Any] = {} if kind == "ridge" else {"n_estimators": 5}
    changes: dict[str, Any] = {
        "alpha": 3.0,
        "n_estimators": 6,
        "max_depth": 3,
        "min_leaf": 0.1,
        "max_features": 0.9,
        "max_samples": 0.9,
        "learning_rate": 0.3,
        "subsample": 0.9,
        "colsample_bytree": 0.9,
        "reg_lambda": 50.0,
        "num_leaves": 3,
    }
    function = models.load(kind)
    base = function(x, y, 0, **small).predict(x)
    for name in options.validated(function, {}):
        if name == "n_jobs":
            continue
        changed = function(x, y, 0, **(small | {name: changes[name]})).predict(x)
        assert not np.array_equal(base, changed), name


def test_models_load_no_library_that_they_do_not_need() -> None:
    code = """
import sys
import numpy as np
from stages.forecast.training import models
model = models.ridge(np.eye(3, dtype=np.float32), np.arange(3.0), 0)
model.predict(np.eye(3, dtype=np.float32))
model.to_onnx()
print([name for name in ("sklearn", "scipy", "pandas", "xgboost", "lightgbm", "skl2onnx")
       if name in sys.modules])
for kind in ("xgboost", "lightgbm"):
    models.load(kind)(np.eye(3, dtype=np.float32), np.arange(3.0), 0).to_onnx()
print([name for name in ("sklearn", "pandas") if name in sys.modules])
models.load("random_forest")(np.eye(3, dtype=np.float32), np.arange(3.0), 0).to_onnx()
print([name for name in ("sklearn", "pandas") if name in sys.modules])
"""
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=datasets.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split() == ["[]", "[]", "['sklearn']"]


def test_shares_of_nothing_are_nothing() -> None:
    none: npt.NDArray[np.float64] = np.zeros(3)
    assert shares(none).tolist() == [0, 0, 0]
    assert shares(np.array([1, 3])).tolist() == [0.25, 0.75]
