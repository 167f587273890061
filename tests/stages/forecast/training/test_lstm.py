"""The LSTM against ONNX Runtime's, against finite differences, and on other processors."""

import hashlib
import importlib
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest

from stages import train
from stages.common import tables
from stages.forecast.contract import Matrix, Vector
from stages.forecast.session import Session
from stages.forecast.training import fitting
from stages.forecast.training.arrays import Dataset
from stages.forecast.training.fitted import Fit, Fitted
from stages.forecast.training.folds import walk_forward
from stages.forecast.training.lstm import LIMIT, Layout, Network, _tanh, lstm
from tests import datasets

NAMES = ["return_lag1", "return_lag2", "return_lag3", "vol_14", "index_return_lag1"]

QUICK: dict[str, Any] = {"epochs": 4, "batch_size": 64, "learning_rate": 0.02, "units": 4}

DIGEST = """
import hashlib, sys
import numpy as np
from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__
from stages.forecast.training.lstm import lstm
rows = np.load(sys.argv[1])
model = lstm(rows["x"], rows["y"], 0, features=sys.argv[2].split(","), epochs=3)
made = [model.to_onnx().SerializeToString(deterministic=True), model.predict(rows["x"]).tobytes()]
made.append(model.importance.tobytes())
print(hashlib.sha256(b"".join(made)).hexdigest())
print(sum(__cpu_features__[name] for name in __cpu_dispatch__))
"""


def rows(count: int, seed: int = 0) -> tuple[Matrix, Vector]:
    """Rows whose target follows the difference of two lags, more than half of it noise."""
    rng = np.random.default_rng(seed)
    x = (0.02 * rng.normal(size=(count, len(NAMES)))).astype(np.float32)
    signal = np.tanh(50 * (x[:, 0] - x[:, 2]))
    return x, 0.01 * signal.astype(np.float64) + rng.normal(0, 0.01, count)


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    return fit(*rows(4000))


def fit(x: Matrix, y: Vector) -> Fitted:
    return lstm(x, y, 0, features=NAMES, **QUICK)


def skill(fitted: Fitted, x: Matrix, y: Vector, mean: float) -> float:
    return 1 - float(((y - fitted.predict(x)) ** 2).sum() / ((y - mean) ** 2).sum())


def folds_of(folder: Path, frame: pl.DataFrame, fit: Fit) -> pl.DataFrame:
    """Out-of-fold predictions for a dataset."""
    tables.write(frame, folder / "train.parquet")
    data = Dataset(folder / "train.parquet")
    folds = list(walk_forward(data.dates, data.target_dates, 3, 0.4, 0))
    return train.out_of_fold(fit, data, folds, "pooled", "")


# --- the sequence


def test_a_step_is_a_lag_and_the_newest_comes_last() -> None:
    x = np.arange(20, dtype=np.float32).reshape(4, 5) ** 2
    layout = Layout.of(NAMES, x)
    standard = (x - x.mean(axis=0)) / x.std(axis=0)
    steps = layout.steps(x)
    assert steps.shape == (3, 3, 4)
    for step, column in enumerate((2, 1, 0)):
        assert steps[step, 0] == pytest.approx(standard[:, column], abs=1e-6)
        assert steps[step, 1] == pytest.approx(standard[:, 3], abs=1e-6)
    # The index has one lag; before it, it is at its mean.
    assert steps[2, 2] == pytest.approx(standard[:, 4], abs=1e-6)
    assert (steps[:2, 2] == 0).all()


def test_without_lags_there_is_one_step() -> None:
    x, _ = rows(10)
    assert Layout.of([f"f{i}" for i in range(5)], x).steps(x).shape == (1, 5, 10)


def test_a_crash_counts_as_five_deviations(fitted: Fitted) -> None:
    x, _ = rows(4000)
    centre, spread = x.mean(axis=0), x.std(axis=0)
    crash, limit = np.tile(centre, (2, 1)), np.float32(LIMIT)
    crash[0, 0] -= 40 * spread[0]
    crash[1, 0] -= 1.0001 * limit * spread[0]
    assert fitted.predict(crash)[0] == fitted.predict(crash)[1]
    served = Session(fitted.to_onnx())(crash)["return"]
    assert served[0] == served[1]


def test_a_column_that_never_varies_does_no_harm() -> None:
    x, y = rows(600)
    x[:, 3] = 0.1
    model = fit(x, y)
    assert np.isfinite(model.predict(x)).all()
    assert model.importance.sum() == pytest.approx(1)


# --- the network


def test_the_slopes_are_those_of_finite_differences() -> None:
    rng = np.random.default_rng(0)
    steps, target = rng.normal(size=(4, 3, 7)), rng.normal(size=7)
    network = Network(rng.normal(0, 0.5, (3 + 5 + 1, 20)), rng.normal(size=5))

    def difference(array: Vector, index: tuple[int, ...], network: Network) -> Vector:
        weight, outputs = array[index], []
        for nudge in (1e-5, -1e-5):
            array[index] = weight + nudge
            outputs.append(network.output(steps))
        array[index] = weight
        return np.array(outputs)

    slopes = network.slopes(steps, target)
    for weights, slope in zip(network, slopes, strict=True):
        assert slope.shape == weights.shape
        for index in np.ndindex(weights.shape):
            up, down = ((difference(weights, index, network) - target) ** 2).mean(axis=1)
            assert slope[index] == pytest.approx((up - down) / 2e-5, abs=1e-6), index
    sensitivity = network.sensitivity(steps)
    for index in np.ndindex(steps.shape):
        up, down = difference(steps, index, network)[:, index[2]]
        assert sensitivity[index] == pytest.approx((up - down) / 2e-5, abs=1e-6), index


def test_the_tangent_is_that_of_numpy() -> None:
    x = np.linspace(-40, 40, 100_001)
    assert np.abs(_tanh(x) - np.tanh(x)).max() < 1e-8


def test_the_graph_is_one_lstm_that_predicts_what_the_model_predicts(fitted: Fitted) -> None:
    graph = fitted.to_onnx()
    onnx.checker.check_model(graph, full_check=True)
    assert [node.op_type for node in graph.graph.node].count("LSTM") == 1
    x = np.concatenate([rows(3000)[0], 10 * rows(3000, seed=1)[0]])
    served = Session(graph)(x)["return"]
    assert np.abs(served - fitted.predict(x)).max() < 1e-7
    fitting.check_parity(fitted.predict(x), served.astype(np.float64), "lstm")


# --- what it may know


def test_a_forecast_depends_on_its_own_row_alone(fitted: Fitted) -> None:
    x, _ = rows(3000, seed=2)
    every = fitted.predict(x)
    assert (fitted.predict(x[:700]) == every[:700]).all()
    other = x.copy()
    other[700:] = 1.0
    assert (fitted.predict(other)[:700] == every[:700]).all()


def test_a_fold_learns_nothing_that_was_not_known_when_it_began(tmp_path: Path) -> None:
    frame = datasets.made_up(["A", "B"], 300, lambda x, _: 0.01 * x[:, 0], horizon=5)

    def fit(x: Matrix, y: Vector) -> Fitted:
        return lstm(x, y, 0, features=["a_lag1", "a_lag2", "vol"], epochs=1)

    before = folds_of(tmp_path, frame, fit)
    begin = before.filter(fold=2)["date"].min()
    unknown = pl.col("target_date") >= begin
    changed = frame.with_columns(target=pl.when(unknown).then(1e6).otherwise(pl.col("target")))
    after = folds_of(tmp_path, changed, fit)
    upto = pl.col("fold") <= 2
    assert after.filter(upto)["prediction"].equals(before.filter(upto)["prediction"])
    assert not after.filter(~upto)["prediction"].equals(before.filter(~upto)["prediction"])


def test_it_finds_a_sequence_and_no_skill_in_shuffled_targets(fitted: Fitted) -> None:
    x, y = rows(4000)
    ahead, outcome = rows(4000, seed=3)
    assert skill(fitted, ahead, outcome, y.mean()) > 0.2
    assert fitted.importance[[0, 2]].sum() > 0.5
    shuffled = fit(x, np.random.default_rng(0).permutation(y))
    assert skill(shuffled, ahead, outcome, y.mean()) < 0.01


# --- the same bytes everywhere


def test_neither_the_core_nor_its_instructions_change_the_bytes(tmp_path: Path) -> None:
    x, y = rows(1500)
    np.savez(tmp_path / "rows.npz", x=x, y=y)
    numpy_core: Any = importlib.import_module("numpy._core._multiarray_umath")
    features = [name for name in numpy_core.__cpu_dispatch__ if numpy_core.__cpu_features__[name]]
    oldest = {"NPY_DISABLE_CPU_FEATURES": " ".join(features)}
    if platform.machine() == "x86_64":
        oldest["OPENBLAS_CORETYPE"] = "Nehalem"
    model = lstm(x, y, 0, features=NAMES, epochs=3)
    parts = [model.to_onnx().SerializeToString(deterministic=True), model.predict(x).tobytes()]
    parts.append(model.importance.tobytes())
    expected = hashlib.sha256(b"".join(parts)).hexdigest()
    for threads, environment in (("1", oldest), ("3", {})):
        ran = subprocess.run(
            [sys.executable, "-c", DIGEST, str(tmp_path / "rows.npz"), ",".join(NAMES)],
            env=os.environ
            | {"PYTHONPATH": str(datasets.ROOT), "OPENBLAS_NUM_THREADS": threads}
            | environment,
            capture_output=True,
            text=True,
            check=True,
        )
        digest, used = ran.stdout.split()
        assert digest == expected, environment
        assert int(used) == (0 if environment else len(features))
