"""`python -m serve replay`: predictions of past revisions, computed again from their inputs."""

import contextlib
import io
import json
import math
import shutil
import sqlite3
import sys
import tempfile
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from onnx import TensorProto, helper, numpy_helper

from predictions import migrate
from predictions.engine import connect
from predictions.schema import prediction_logs
from serve import __main__ as command
from serve.app import create
from serve.checkout.bundle import Card, Model
from serve.checkout.loading import load
from serve.forecasts.batch_files import Meta, Store
from serve.replay.comparison import compare
from serve.replay.logged import find
from serve.server_settings import Settings
from stages.forecast.contract import FORECAST_OUTPUTS
from stages.forecast.session import Session
from stages.forecast.training.graphs import as_model
from tests import forks
from tests.predictions.rows import row
from tests.projects import Project
from tests.serve.challenging import put
from tests.serve.forecasts.streams import HEADERS, table, written
from tests.serve.revisions import another


class Served(Project):
    """A project with a prediction log, served for as long as a question takes."""

    @property
    def var(self) -> Path:
        return self.folder / "var"

    def predict(self, **body: Any) -> Any:
        with TestClient(create(Settings(root=self.folder))) as client:
            return client.post("/predict/short", json=body).json()

    def together(self, *symbols: str) -> Any:
        body = {"horizon": "short", "rows": [{"symbol": symbol} for symbol in symbols]}
        with TestClient(create(Settings(root=self.folder))) as client:
            return client.post("/batch-predict", json=body).json()["predictions"]

    def logged(self, identifier: str) -> Any:
        with TestClient(create(Settings(root=self.folder))) as client:
            return client.get(f"/predictions/{identifier}").json()

    def batch(self, rows: int) -> str:
        body = written(table(load(self.folder).models["short"], rows, {"key": np.arange(rows)}))
        with TestClient(create(Settings(root=self.folder))) as client:
            answer = client.post("/batch-predict?horizon=short", content=body, headers=HEADERS)
            return str(answer.headers["Batch-Id"])

    def replay(self, *arguments: str) -> str:
        """What the command prints, run in this process; the test of its page starts a process."""
        printed = io.StringIO()
        with (
            pytest.MonkeyPatch.context() as patch,
            contextlib.chdir(self.folder),
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
        ):
            patch.setenv("SERVE_ROOT", str(self.folder))
            patch.setenv("COLUMNS", "200")
            patch.setattr(tempfile, "tempdir", str(self.temporary))
            python = str(forks.folder() / "bin" / "python")
            patch.setattr(sys, "executable", python)
            try:
                command.main(["replay", *arguments])
            except SystemExit as end:
                assert end.code == 1  # noqa: PT017  # it may also end well
        return printed.getvalue()

    @property
    def temporary(self) -> Path:
        folder = self.folder.parent / "temporary"
        folder.mkdir(exist_ok=True)
        return folder

    def commit(self, message: str) -> str:
        self.git("commit", "--quiet", "--all", f"--message={message}")
        return self.git("rev-parse", "HEAD").strip()

    def change(self, identifier: str, column: str, value: float) -> None:
        """Tamper with the log."""
        with sqlite3.connect(self.var / "predictions.db") as log:
            log.execute(
                f"UPDATE prediction_logs SET {column} = ? WHERE id = ?",  # noqa: S608  # our own
                (value, identifier),
            )
        log.close()

    def state(self) -> Any:
        """What a replay must leave alone."""
        files = {
            path: (path.stat().st_mtime_ns, path.stat().st_size)
            for name in (
                "models",
                "dvc.lock",
                "params.yaml",
                ".git/HEAD",
                ".git/config",
                ".dvc/config",
            )
            for path in [self.folder / name, *(self.folder / name).rglob("*")]
        }
        return files, self.git("status", "--porcelain"), self.git("worktree", "list")


@pytest.fixture
def served(project: Project) -> Served:
    return Served(project.folder)


@pytest.mark.slow
def test_predictions_of_former_revisions(served: Served) -> None:
    revisions, predictions = [served.git("rev-parse", "HEAD").strip()], [served.predict()]
    together = served.together("AAPL", "GOOG", "IBM", "MSFT")
    batch = served.batch(5000)
    for level in (0.91, 0.92):
        another(served, level)
        revisions.append(served.commit(f"Intervals of level {level}"))
        predictions.append(served.predict(symbol="IBM"))
    another(served, 0.93)
    dirty = served.predict()
    revisions.append(served.commit("Intervals of level 0.93"))
    assert len({answer["model"]["md5"] for answer in (*predictions, dirty)}) == 4
    before = served.state()

    first = json.loads(served.replay(predictions[0]["id"], "--json"))
    assert first["same"] is True
    assert first["rows"] == 1
    assert first["commit"]["id"] == revisions[0] == first["revision"]
    scale = served.logged(predictions[0]["id"])["scale"]
    assert {value["name"]: value["replayed"] for value in first["values"]} == {
        "return": predictions[0]["predicted_return"],
        "lower": predictions[0]["interval"]["lower_return"],
        "upper": predictions[0]["interval"]["upper_return"],
        "probability": predictions[0]["probability_of_rise"],
        "scale": scale,
    }
    params = {
        name: value for step in first["lineage"]["stages"] for name, value in step["params"].items()
    }
    assert params["evaluate.level"] == 0.9

    # Computed with others, and again alone.
    assert json.loads(served.replay(together[2]["id"], "--json"))["same"] is True
    whole = json.loads(served.replay(batch, "--json"))
    assert (whole["kind"], whole["rows"], whole["same"]) == ("batch", 5000, True)
    assert whole["commit"]["id"] == revisions[0]

    # It was made before its revision was committed; the commit that has its model is found.
    assert dirty["model"]["revision"] == f"{revisions[2]}-dirty"
    replayed = json.loads(served.replay(dirty["id"], "--json"))
    assert replayed["same"] is True
    assert replayed["commit"]["id"] == revisions[3]
    assert replayed["note"] == (
        f"{revisions[2]}-dirty as it was committed has another model; this one has the same model"
    )

    # The smallest step of a float is noticed.
    wrong = math.nextafter(np.float32(predictions[1]["interval"]["upper_return"]), np.float32(1))
    served.change(
        predictions[1]["id"], "upper", float(np.nextafter(np.float32(wrong), np.float32(1)))
    )
    printed = served.replay(predictions[1]["id"])
    assert f"prediction {predictions[1]['id']}: short, IBM, as of 2012-12-31\n" in printed
    assert printed.count("  the same\n") == 4
    assert printed.count("  DIFFERENT\n") == 1
    assert f"commit   {revisions[1]}" in printed
    assert "evaluate.level=0.91" in printed
    assert "not the same: return 0, lower 0, upper 1, probability 0, scale 0" in printed
    assert printed.endswith("error: 1 values are not those that were logged\n")

    assert served.state() == before
    assert list(served.temporary.iterdir()) == []


@pytest.mark.slow
def test_what_is_not_in_the_cache_comes_from_the_remote(served: Served, tmp_path: Path) -> None:
    prediction = served.predict()
    cache = served.folder / ".dvc" / "cache"
    md5 = prediction["model"]["md5"]
    served.dvc("remote", "add", "--quiet", "--local", "--default", "other", "../remote")
    served.dvc("push", "--quiet", "models/short/model.onnx", "models/short/card.json")
    assert (tmp_path / "remote").is_dir()
    cached = cache / "files" / "md5" / md5[:2] / md5[2:]
    cached.chmod(0o600)
    cached.unlink()
    assert json.loads(served.replay(prediction["id"], "--json"))["same"] is True

    shutil.rmtree(cache)
    shutil.rmtree(tmp_path / "remote")
    printed = served.replay(prediction["id"])
    assert printed.count("\n") == 1
    assert printed.startswith("error: models/short/model.onnx of commit ")
    assert "neither the DVC cache nor a remote has it; `dvc get` says: " in printed
    assert list(served.temporary.iterdir()) == []


@pytest.mark.slow
def test_forecasts_of_challengers_and_beside_them(brief: Project) -> None:
    served = Served(brief.folder)
    head = served.git("rev-parse", "HEAD").strip()
    another(served, 0.91)
    commit = served.commit("A challenger")
    folder = served.folder / "models" / "short"
    content, document = (folder / "model.onnx").read_bytes(), (folder / "card.json").read_bytes()
    served.git("checkout", "--quiet", "--detach", head)
    served.dvc("checkout", "--quiet", "--force")
    rows = []
    # Under its short name, and one that the repository does not have.
    for name, mode in ((commit[:8], "shadow"), ("f" * 40, "canary")):
        put(served.var, content, json.loads(document), commit=name, mode=mode, share=1.0)
        assert served.predict()["model"].get("role") == (None if mode == "shadow" else mode)
        with sqlite3.connect(served.var / "predictions.db") as log:
            query = "SELECT id FROM prediction_logs ORDER BY id DESC LIMIT 2"
            rows += [identifier for (identifier,) in log.execute(query)][::-1]
        log.close()
    _, shadow, canary, champion = rows
    for identifier, made_by in ((shadow, commit), (canary, commit), (champion, head)):
        replayed = json.loads(served.replay(identifier, "--json"))
        assert replayed["same"] is True
        assert replayed["commit"]["id"] == made_by
        assert ("has the same model" in replayed["note"]) == (identifier == canary)


def test_what_cannot_be_replayed_is_said_in_a_line(served: Served, tmp_path: Path) -> None:
    assert served.replay("x") == (
        "error: 'x' is not an id; an answer carries one, GET /predictions lists them\n"
    )
    unknown = "01a21191-483f-7684-a1d6-25a5d09f5cef"
    printed = served.replay(unknown)
    assert printed.startswith(f"error: there is no prediction log at {served.var}/predictions.db")
    prediction = served.predict()
    assert served.replay(unknown) == (
        f"error: nothing was logged under {unknown}; GET /predictions lists what was\n"
    )
    # No commit has the model of another project.
    with sqlite3.connect(served.var / "predictions.db") as log:
        log.execute("UPDATE prediction_logs SET model_md5 = ?, revision = ?", ("0" * 32, "f" * 40))
    log.close()
    printed = served.replay(prediction["id"])
    assert printed.startswith(f"error: there is no revision {'f' * 40} here, and none of the 1 ")
    assert printed.count("\n") == 1
    # Nor can anything be found where there is no git.
    shutil.rmtree(served.folder / ".git")
    printed = served.replay(prediction["id"])
    assert printed.startswith("error: ")
    assert printed.count("\n") == 1
    del tmp_path


def former(features: list[str]) -> bytes:
    """A graph of former versions: it took the scale as an input, and had four outputs."""
    column = [None, 1]
    nodes = [
        helper.make_node("MatMul", ["features", "slope"], ["return"]),
        helper.make_node("Sub", ["return", "scale"], ["lower"]),
        helper.make_node("Add", ["return", "scale"], ["upper"]),
        helper.make_node("Div", ["return", "scale"], ["ratio"]),
        helper.make_node("Sigmoid", ["ratio"], ["probability"]),
    ]
    shapes = {"features": [None, len(features)], "scale": column}
    slope = np.linspace(0.5, 1, len(features), dtype=np.float32).reshape(-1, 1)
    graph = helper.make_graph(
        nodes,
        "forecast",
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in shapes.items()
        ],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, column)
            for name in FORECAST_OUTPUTS[:4]
        ],
        [numpy_helper.from_array(slope, "slope")],
    )
    content: bytes = as_model(graph).SerializeToString()
    return content


@pytest.fixture
def former_model() -> Model:
    """A model of a former version as a replay fetches it, with the card of that version."""
    features = ["return_lag1", "vol_14"]
    card = {
        "horizon": "short",
        "sessions": 1,
        "as_of": "2012-12-31",
        "features": features,
        "scale": "vol_14",
        "symbols": ["AAPL", "IBM"],
        "interval": {"level": 0.9, "lower_quantile": -1.6, "upper_quantile": 1.6},
        "training": {"rows": 10, "first": "2000-01-03", "last": "2010-12-31"},
    }
    return Model(
        name="short",
        card=Card.model_validate_json(json.dumps(card)),
        session=Session(former(features)),
        md5="0" * 32,
    )


def answered(model: Model, features: Any, scale: Any) -> dict[str, Any]:
    """The outputs of a former graph, (rows,) each."""
    return model.session(np.array(features, np.float32), scale=np.array(scale, np.float32))


def test_a_prediction_of_a_former_graph_gets_its_logged_scale(
    former_model: Model, tmp_path: Path
) -> None:
    outputs = answered(former_model, [[0.01, 0.02]], [[0.03]])
    names = ("predicted_return", "lower", "upper", "probability")
    values = (float(outputs[name][0]) for name in FORECAST_OUTPUTS[:4])
    logged = row(
        inputs='{"return_lag1":0.01,"vol_14":0.02}',
        scale=float(np.float32(0.03)),
        created_at=datetime(2024, 1, 2, tzinfo=UTC),
        as_of=date(2012, 12, 31),
        target_date=date(2013, 1, 2),
        **dict(zip(names, values, strict=True)),
    )
    served = Served(tmp_path)
    settings = Settings(root=tmp_path, var=served.var)
    engine = connect(settings.log_url)
    migrate.upgrade(engine)
    with engine.begin() as connection:
        connection.execute(sa.insert(prediction_logs), logged)
    engine.dispose()

    same = compare(find(settings, logged["id"]), former_model)
    assert same.same
    assert [value.name for value in same.values] == list(FORECAST_OUTPUTS[:4])
    served.change(logged["id"], "scale", 0.04)
    assert compare(find(settings, logged["id"]), former_model).different == {
        "return": 0,
        "lower": 1,
        "upper": 1,
        "probability": 1,
    }


def test_a_batch_of_a_former_graph_gets_its_kept_scales(
    former_model: Model, tmp_path: Path
) -> None:
    features, scale = [[0.01, 0.02], [0.0, 0.01], [-0.02, 0.03]], [[0.03], [0.01], [0.02]]
    columns = {
        "key": np.arange(3),
        **dict(zip(former_model.card.features, np.array(features, np.float32).T, strict=True)),
        "scale": np.array(scale, np.float32).ravel(),
        **answered(former_model, features, scale),
    }
    meta = Meta(
        id="01a21191-483f-7684-a1d6-25a5d09f5cef",
        created_at="2024-01-02T03:04:05.678Z",
        horizon="short",
        sessions=1,
        level=0.9,
        rows=3,
        revision="0" * 40,
        model_md5=former_model.md5,
        model_version="",
        client="",
        request_id="",
    )
    table = pa.table(columns)
    with Store(tmp_path).writer(meta, table.schema) as writer:
        writer.write_table(table)
    replayed = compare(find(Settings(root=tmp_path, var=tmp_path), meta.id), former_model)
    assert (replayed.rows, replayed.same) == (3, True)
    assert set(replayed.different) == set(FORECAST_OUTPUTS[:4])
