"""Challengers beside the champion: what callers get, and what the prediction log keeps."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from predictions import export
from predictions.engine import connect
from predictions.schema import label_store, prediction_logs
from serve.app import create
from serve.edge.keyring import make
from serve.server_settings import Settings
from tests.narrow import wait_for
from tests.serve.challenging import COMMIT, FEATURES, card, graph, put, take

KEYS = {name: make(name, ["predict", "admin"]) for name in map("desk-{}".format, range(12))}

Row = dict[str, Any]


class Tried:
    """A served app, and its own folder."""

    def __init__(self, client: TestClient, var: Path) -> None:
        self.client = client
        self.var = var
        self.key = next(iter(KEYS))

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {KEYS[self.key][0]}"}

    def get(self, path: str) -> Any:
        answer = self.client.get(path, headers=self.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any = None) -> Any:
        answer = self.client.post(path, json={} if body is None else body, headers=self.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def health(self) -> dict[str, Row]:
        challengers: dict[str, Row] = self.client.get("/health").json()["challengers"]
        return challengers

    def come(self, content: bytes = graph(), document: Row | None = None, **fields: Any) -> str:
        """Put a challenger in place, and wait until the server has it."""
        md5 = put(self.var, content, document, **fields)
        service = self.client.app.state.service  # type: ignore[attr-defined]
        service.challengers.look()
        assert self.health()["short"]["model"]["md5"] == md5
        return md5

    def rows(self) -> list[Row]:
        """What is in the log, oldest first."""
        query = sa.select(prediction_logs).order_by(prediction_logs.c.id)
        with connect(f"sqlite:///{self.var / 'predictions.db'}").connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]


@pytest.fixture(scope="module")
def app(
    small_models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[TestClient, Path]]:
    var = tmp_path_factory.mktemp("var")
    keys = " ".join(str(key) for _, key in KEYS.values())
    settings = Settings(root=small_models, var=var, revision="image-7", keys=keys)
    with TestClient(create(settings)) as client:
        yield client, var


@pytest.fixture
def tried(app: tuple[TestClient, Path]) -> Iterator[Tried]:
    """The app with an empty log, and without a challenger."""
    client, var = app
    with connect(f"sqlite:///{var / 'predictions.db'}").begin() as connection:
        for table in (label_store, prediction_logs):
            connection.execute(sa.delete(table))
    yield Tried(client, var)
    take(var)
    client.app.state.service.challengers.look()  # type: ignore[attr-defined]


def without(answer: Row) -> Row:
    """An answer without its id and its time."""
    return {name: value for name, value in answer.items() if name not in {"id", "created_at"}}


def test_a_shadow_changes_no_answer_and_is_logged_beside_it(tried: Tried) -> None:
    alone = tried.post("/predict/short", {"symbol": "IBM"})
    assert "role" not in alone["model"]
    md5 = tried.come(version="v2.0.0")
    answer = tried.post("/predict/short", {"symbol": "IBM"})
    assert orjson.dumps(without(answer)) == orjson.dumps(without(alone))
    _, champion, shadow = tried.rows()
    assert (champion["id"], champion["role"]) == (answer["id"], None)
    assert shadow["role"] == "shadow"
    assert (shadow["revision"], shadow["model_md5"]) == (COMMIT, md5)
    assert shadow["model_version"] == "v2.0.0"
    assert shadow["predicted_return"] == np.float32(0.01)
    same = "symbol horizon sessions as_of target_date last_close source request_id created_at"
    assert [shadow[name] for name in same.split()] == [champion[name] for name in same.split()]
    assert shadow["client"] == champion["client"] == "desk-0"
    assert list(json.loads(shadow["inputs"])) == list(FEATURES)
    # Older bars and all horizons of a symbol too.
    tried.get("/predict/short?symbol=IBM&as_of=2012-12-20&explain=false")
    tried.post("/predict/GOOG")
    *_, first, second, third, fourth = tried.rows()
    assert str(first["as_of"]) == str(second["as_of"]) == "2012-12-20"
    assert [row["role"] for row in (first, second, third, fourth)] == [None, "shadow"] * 2
    assert fourth["symbol"] == "GOOG"


def test_a_batch_is_shadowed_where_its_rows_are_bars_of_the_revision(tried: Tried) -> None:
    tried.come(mode="canary", share=1.0)
    features = tried.get("/model/info")["short"]["features"]
    rows = [
        {"symbol": "IBM"},
        {"features": dict.fromkeys(features, 0.01)},
        {"symbol": "AAPL", "as_of": "2012-12-20"},
    ]
    answers = tried.post("/batch-predict", {"horizon": "short", "rows": rows})["predictions"]
    # A canary answers single requests alone.
    assert all("role" not in answer["model"] for answer in answers)
    logged = tried.rows()
    assert [row["role"] for row in logged] == [None] * 3 + ["shadow"] * 2
    shadows = [(row["symbol"], str(row["as_of"])) for row in logged[3:]]
    assert shadows == [("IBM", "2012-12-31"), ("AAPL", "2012-12-20")]
    assert tried.health()["short"]["failures"] == 0


def test_a_canary_answers_its_keys_and_the_champion_is_its_shadow(tried: Tried) -> None:
    md5 = tried.come(mode="canary", share=0.5, version="v2.0.0")
    champion = tried.get("/version")["models"]["short"]
    chosen = {}
    for key in KEYS:
        tried.key = key
        models = [tried.post("/predict/short")["model"] for _ in range(3)]
        assert models[1:] == models[:-1]
        chosen[key] = models[0]
    canary = {"revision": COMMIT, "md5": md5, "version": "v2.0.0", "role": "canary"}
    assert {json.dumps(model) for model in chosen.values()} == {
        json.dumps(canary),
        json.dumps(champion),
    }
    rows = tried.rows()
    assert len(rows) == 2 * 3 * len(KEYS)
    for answered, beside in zip(rows[::2], rows[1::2], strict=True):
        of_canary = chosen[answered["client"]] == canary
        assert (answered["role"], beside["role"]) == ("canary" if of_canary else None, "shadow")
        assert {answered["model_md5"], beside["model_md5"]} == {md5, champion["md5"]}
        assert (answered["model_md5"] == md5) is of_canary
        assert beside["request_id"] == answered["request_id"]


def test_what_a_canary_does_not_know_is_null_and_explained_answers_are_the_champions(
    tried: Tried,
) -> None:
    tried.come(document=card(training={"last": "2012-12-31"}), mode="canary", share=1.0)
    (answer,) = tried.post("/predict/IBM")["predictions"]
    assert answer["model"]["role"] == "canary"
    assert (answer["in_sample"], answer["out_of_sample"], answer["scores"]) == (True, None, None)
    explained = tried.get("/predict/short?symbol=IBM&explain=true")
    assert explained["explanation"]["contributions"]
    assert "role" not in explained["model"]
    assert [row["role"] for row in tried.rows()] == ["canary", "shadow", None, "shadow"]


@pytest.mark.parametrize("mode", ["shadow", "canary"])
def test_one_that_fails_leaves_the_champion_to_answer(
    tried: Tried, caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    alone = tried.post("/predict/short")
    # Finite for a row of zeros, and for no other.
    tried.come(graph(slope=1e300), mode=mode, share=1.0)
    for _ in range(3):
        assert without(tried.post("/predict/short")) == without(alone)
    batch = {"horizon": "short", "rows": [{"symbol": "IBM"}]}
    tried.post("/batch-predict", batch)
    assert {row["role"] for row in tried.rows()} == {None}
    failures = [line for line in caplog.messages if "has no forecast" in line]
    assert len(failures) == 1
    assert "AAPL" in failures[0]
    state = tried.health()["short"]
    assert state["failures"] == 4
    assert "IBM" in state["detail"]
    health = tried.client.get("/health").json()
    assert health["status"] == "ok"
    metrics = tried.client.get("/metrics", headers=tried.headers).text
    assert 'serve_challenger_failures{horizon="short"} 4.0' in metrics


def test_a_request_that_the_champion_refuses_is_refused(tried: Tried) -> None:
    tried.come(mode="canary", share=1.0)
    for body in ({"symbol": "APPL"}, {"as_of": "1990-01-01"}, {"as_of": "2013-06-01"}):
        answer = tried.client.post("/predict/short", json=body, headers=tried.headers)
        assert answer.status_code in {404, 422}
    assert tried.rows() == []


def test_the_log_lists_roles_and_charts_have_answers_alone(tried: Tried) -> None:
    tried.come(mode="canary", share=0.0)
    own = tried.post("/predict/short", {"symbol": "IBM"})
    tried.come(mode="canary", share=1.0)
    canary = tried.post("/predict/short", {"symbol": "IBM"})

    def listed(query: str) -> list[tuple[Any, str]]:
        page = tried.get(f"/predictions?{query}")["predictions"]
        return [(each["model"].get("role"), each["model"]["md5"]) for each in page]

    champion, challenger = own["model"]["md5"], canary["model"]["md5"]
    assert listed("") == [
        ("shadow", champion),
        ("canary", challenger),
        ("shadow", challenger),
        (None, champion),
    ]
    assert listed("role=champion&symbol=IBM") == [(None, champion)]
    assert listed("role=canary") == [("canary", challenger)]
    assert listed("role=shadow&limit=5") == [("shadow", champion), ("shadow", challenger)]
    wrong = tried.client.get("/predictions?role=chief", headers=tried.headers)
    assert wrong.status_code == 422
    (last,) = tried.get("/predictions?limit=1")["predictions"]
    assert tried.get(f"/predictions/{last['id']}")["model"]["role"] == "shadow"

    logged = tried.get("/plot/IBM?horizon=short&last=5")["logged"]
    assert logged["id"] == [own["id"], canary["id"]]

    path = tried.var / "log.parquet"
    log = connect(f"sqlite:///{tried.var / 'predictions.db'}", read_only=True)
    assert export.write(log, path, None, None) == 4
    exported = pl.read_parquet(path)
    assert exported["role"].to_list() == [None, "shadow", "canary", "shadow"]
    path.unlink()


def test_prometheus_counts_roles_and_shows_what_is_tried(tried: Tried) -> None:
    def value(line: str) -> float:
        page = tried.client.get("/metrics", headers=tried.headers).text
        (sample,) = [each for each in page.splitlines() if each.startswith(line)] or [f"{line} 0"]
        return float(sample.rpartition(" ")[2])

    def counted() -> list[float]:
        return [
            value(f'serve_challenger_forecasts_total{{horizon="short",role="{role}"}}')
            for role in ("champion", "shadow", "canary")
        ]

    before = counted()
    tried.post("/predict/short")
    assert counted() == before
    md5 = tried.come(mode="canary", share=0.0)
    info = f'serve_challenger_info{{horizon="short",md5="{md5}",mode="canary"'
    assert value(info) == 1
    for share in (0.0, 1.0, 1.0):
        tried.come(mode="canary", share=share)
        tried.post("/predict/short")
    assert [now - then for now, then in zip(counted(), before, strict=True)] == [1, 3, 2]
    take(tried.var)
    wait_for(lambda: value(info) == 0, 10)
    assert tried.health() == {}
