"""Model servers that answer with the same booster: this one, an empty handler, mlflow, MLServer.

Each is a process of its own with one worker. The peers have an environment of their own, which is
installed once in `var/benchmarks/peers`.
"""

import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks.panel import ROOT
from benchmarks.processes import environment, free_port
from stages import params
from stages.common.paths import DATASETS, MODELS
from stages.forecast.dataset_params import chosen
from stages.forecast.evaluation.fold_rows import errors_of
from stages.forecast.evaluation.forecast_graph import forecast_graph
from stages.forecast.evaluation.scale import HAR, fit, logarithms
from stages.forecast.scoring.spread import spread
from stages.forecast.training import graphs, models, train_params
from versions.repository import lock

HORIZON = "short"
BOOSTER = "xgboost"
PEERS = Path("var/benchmarks/peers")
REQUIREMENTS = Path(__file__).parent / "peers" / "requirements.txt"

START = 300
"""Seconds within which a server must take connections: a busy machine imports slowly."""

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
"""For every contestant: with one row a second thread only waits for the first."""


@dataclass(frozen=True)
class Model:
    """One booster in each server's form.

    Attributes:
        folder: with the `models/` and `dvc.lock` that this project serves.
        native: the booster as xgboost saves it.
        row: features, (features,), for a request.
        expected: its prediction.
    """

    folder: Path
    native: Path
    row: npt.NDArray[np.float32]
    expected: float


def build(project: Path, work: Path) -> Model:
    """Train the booster of params.yaml on the training rows of a reproduced project."""
    from xgboost import XGBRegressor

    settings = params.load(project / "params.yaml")
    _, options = train_params.model(settings.models, BOOSTER)
    card = json.loads((project / MODELS / HORIZON / "card.json").read_text(encoding="utf-8"))
    rows = pl.read_parquet(project / DATASETS / HORIZON / "train.parquet")
    features = card["features"]
    x = np.ascontiguousarray(rows.select(features).to_numpy(), dtype=np.float32)
    target = rows["target"].to_numpy().astype(np.float64)
    seed = settings.train.seed
    fitted = models.load(BOOSTER)(x, target, seed, **options)
    leaf = models.leaf_rows(options.pop("min_leaf"), len(x))
    native = XGBRegressor(
        tree_method="hist", random_state=seed, min_child_weight=leaf, **options
    ).fit(x, target)
    assert np.array_equal(native.predict(x), fitted.predict(x))  # noqa: S101  # one booster
    native.save_model(work / "model.json")

    folder = work / "container"
    shutil.copytree(project / MODELS, folder / MODELS)
    columns = chosen(settings.dataset.scale, features)
    predicted = rows.with_columns(
        pl.lit(0, pl.Int32).alias("fold"), pl.Series(BOOSTER, native.predict(x))
    )
    errors = errors_of(predicted, BOOSTER, logarithms(rows.select(columns).to_numpy()), columns)
    scale = fit(HAR, errors, settings.evaluate.scale_shrinkage)
    spreads = spread(errors.error / scale(errors.logs), settings.evaluate.level)
    candidates = {BOOSTER: fitted.to_onnx()}
    graph = forecast_graph(candidates, {BOOSTER: 1.0}, scale, spreads, features)
    path = MODELS / HORIZON / "model.onnx"
    graphs.save(graph, folder / path)
    text = (project / lock.LOCK_FILE).read_text(encoding="utf-8")
    former = lock.parse(text).outs[path.as_posix()].md5
    md5 = hashlib.md5((folder / path).read_bytes(), usedforsecurity=False).hexdigest()
    (folder / lock.LOCK_FILE).write_text(text.replace(former, md5), encoding="utf-8")
    return Model(folder, work / "model.json", x[0], float(native.predict(x[:1])[0]))


@dataclass(frozen=True)
class Contestant:
    """A server, and the request that it gets.

    Attributes:
        name: in the table.
        command: that starts it on `port`.
        body: of a request.
    """

    name: str
    command: Sequence[str]
    port: int
    path: str
    body: Any
    variables: Mapping[str, str]


def ours(model: Model, work: Path, workers: int = 1) -> Contestant:
    """This server; every prediction is on the disk before its answer leaves."""
    port = free_port()
    settings = {
        "SERVE_ROOT": str(model.folder),
        "SERVE_VAR": str(work / "var"),
        "SERVE_PORT": str(port),
        "SERVE_WORKERS": str(workers),
        "SERVE_LOG_LEVEL": "info",
    }
    return Contestant(
        "POST /predict/short, durably logged",
        [sys.executable, "-m", "serve"],
        port,
        f"/predict/{HORIZON}",
        {"symbol": "AAPL"},
        settings,
    )


def trying(model: Model, work: Path, mode: str) -> Contestant:
    """This server, with a challenger that computes the same as its own model.

    Args:
        model: that it serves.
        work: where it keeps its files.
        mode: `shadow`; or `canary`, which answers half of the requests.
    """
    import onnx

    own = model.folder / MODELS / HORIZON
    var = work / mode / "var"
    folder = var / "challengers" / HORIZON
    folder.mkdir(parents=True)
    graph = onnx.load(own / "model.onnx")
    # Another file, and therefore another model.
    graph.doc_string = mode
    content = graph.SerializeToString()
    (folder / "model.onnx").write_bytes(content)
    shutil.copy(own / "card.json", folder)
    placement = {
        "commit": "0" * 40,
        "model_md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
        "mode": mode,
        "share": 0.5,
    }
    (folder / "challenger.json").write_text(json.dumps(placement), encoding="utf-8")
    return replace(ours(model, var.parent), name=f"the same beside a {mode}")


def empty() -> Contestant:
    """FastAPI with the same schema and a handler that does nothing."""
    port = free_port()
    command = [
        *(sys.executable, "-m", "uvicorn", "benchmarks.empty_handler:app"),
        *("--host", "127.0.0.1", "--port", str(port), "--no-access-log"),
    ]
    return Contestant(
        "an empty FastAPI handler", command, port, f"/predict/{HORIZON}", {"symbol": "AAPL"}, {}
    )


def mlflow(model: Model, work: Path, peers: Path) -> Contestant:
    """`mlflow models serve`."""
    port, folder = free_port(), work / "mlflow"
    script = (
        "import sys, mlflow.xgboost, xgboost\n"
        "booster = xgboost.XGBRegressor(); booster.load_model(sys.argv[1])\n"
        "mlflow.xgboost.save_model(booster, sys.argv[2])\n"
    )
    python = str(peers / "bin" / "python")
    _quietly([python, "-c", script, str(model.native), str(folder)], work)
    command = [
        *(python, "-m", "mlflow", "models", "serve", "--model-uri", str(folder)),
        *("--port", str(port), "--env-manager", "local", "--workers", "1"),
    ]
    body = {"inputs": [model.row.tolist()]}
    return Contestant("mlflow models serve", command, port, "/invocations", body, {})


def mlserver(model: Model, work: Path, peers: Path) -> Contestant:
    """MLServer with its xgboost runtime, in the server's own process (no workers beside it)."""
    port, folder = free_port(), work / "mlserver"
    folder.mkdir()
    shutil.copy(model.native, folder / "model.json")
    settings = {
        "name": HORIZON,
        "implementation": "mlserver_xgboost.XGBoostModel",
        "parameters": {"uri": "./model.json"},
    }
    (folder / "model-settings.json").write_text(json.dumps(settings), encoding="utf-8")
    server = {
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": free_port(),
        "metrics_port": free_port(),
        "parallel_workers": 0,
        "debug": False,
    }
    (folder / "settings.json").write_text(json.dumps(server), encoding="utf-8")
    row = model.row.tolist()
    body = {"inputs": [{"name": "x", "shape": [1, len(row)], "datatype": "FP32", "data": row}]}
    command = [str(peers / "bin" / "mlserver"), "start", str(folder)]
    return Contestant("MLServer", command, port, f"/v2/models/{HORIZON}/infer", body, {})


@contextlib.contextmanager
def running(
    contestant: Contestant, work: Path, threads: Mapping[str, str] = ONE_THREAD
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a contestant, wait until it takes connections, and end it."""
    log = work / f"{contestant.port}.log"
    path = f"{Path(contestant.command[0]).parent}{os.pathsep}{os.environ['PATH']}"
    variables = environment(**threads, **contestant.variables) | {"PATH": path}
    with log.open("wb") as output:
        process = subprocess.Popen(
            contestant.command,
            cwd=ROOT if contestant.command[0] == sys.executable else work,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        _wait(contestant, process, log)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(contestant: Contestant, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", contestant.port), 1).close()
            return
        time.sleep(0.05)
    raise SystemExit(f"{contestant.name} does not answer:\n{log.read_text(encoding='utf-8')}")


def peers() -> Path:
    """The environment of the peers, installed where it is missing (minutes, about 1 GB)."""
    folder = ROOT / PEERS
    wanted = REQUIREMENTS.read_text(encoding="utf-8")
    done = folder / "installed.txt"
    if done.exists() and done.read_text(encoding="utf-8") == wanted:
        return folder
    sys.stderr.write(f"installing mlflow and MLServer into {PEERS} ...\n")
    shutil.rmtree(folder, ignore_errors=True)
    python = str(folder / "bin" / "python")
    _quietly([sys.executable, "-m", "venv", str(folder)], ROOT)
    import xgboost

    pip = [python, "-m", "pip", "install", "--quiet", "--quiet", "--no-input"]
    _quietly([*pip, "-r", str(REQUIREMENTS), f"xgboost-cpu=={xgboost.__version__}"], ROOT)
    # It requires xgboost with CUDA, which does the same on a CPU and is 480 MB larger.
    _quietly([*pip, "--no-deps", "mlserver-xgboost==1.7.1"], ROOT)
    done.write_text(wanted, encoding="utf-8")
    return folder


def _quietly(command: Sequence[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:4])} ... failed:\n{done.stdout}{done.stderr}")
