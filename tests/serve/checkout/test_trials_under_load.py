"""Challengers come, answer, fail, are promoted and go, under load: no request is lost."""

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.sync.client import ClientConnection, connect

from tests.narrow import wait_for
from tests.serve.challenging import FEATURES, card, graph, put, take
from tests.serve.checkout.test_follow import Load
from tests.serve.checkout.test_loading import relock
from tests.serve.servers import Server

ENOUGH = 40
"""Answers of each step."""


def promote(root: Path, content: bytes, document: dict[str, Any]) -> None:
    """Put a model in the champion's place, as the checkout of a promotion does."""
    folder = root / "models" / "short"
    (folder / "model.onnx").write_bytes(content)
    (folder / "card.json").write_text(json.dumps(document), encoding="utf-8")
    for name in ("model.onnx", "card.json"):
        relock(root, f"models/short/{name}")


def predictions(feed: ClientConnection, count: int) -> Iterator[dict[str, Any]]:
    """The first predictions of a live feed, `count` of them."""
    while count:
        message = json.loads(feed.recv(timeout=10))
        if message["type"] == "prediction":
            count -= 1
            yield message["data"]


@pytest.mark.slow
def test_challengers_come_and_go_without_a_lost_request(small_models: Path, tmp_path: Path) -> None:
    root, var = tmp_path / "container", tmp_path / "var"
    shutil.copytree(small_models, root)
    champion = (root / "models/short/model.onnx").read_bytes()
    own = json.loads((root / "models/short/card.json").read_bytes())
    first, second = graph(intercept=0.01), graph(intercept=0.02)

    def state() -> dict[str, Any]:
        health: dict[str, Any] = httpx2.get(f"{server.url}/health").json()
        return health

    def step(act: Callable[[], object], done: Callable[[dict[str, Any]], bool]) -> None:
        act()
        wait_for(lambda: done(state()), 20)
        place = len(load.answers)
        wait_for(lambda: len(load.answers) > place + ENOUGH, 20)

    def mode(wanted: str) -> Callable[[dict[str, Any]], bool]:
        return lambda health: health["challengers"].get("short", {}).get("mode") == wanted

    def says(fact: str) -> Callable[[dict[str, Any]], bool]:
        return lambda health: fact in health["challengers"].get("short", {}).get("detail", "")

    with ExitStack() as stack:
        server = stack.enter_context(Server(root, var, REVISION="image-7"))
        feed = stack.enter_context(connect(f"{server.url.replace('http', 'ws')}/live", proxy=None))
        load = stack.enter_context(Load(server.url))
        step(lambda: put(var, first), mode("shadow"))
        step(lambda: put(var, first, mode="canary", share=0.5), mode("canary"))
        step(lambda: put(var, b"no graph", mode="canary"), says("cannot be read"))
        step(lambda: put(var, graph(slope=1e300), mode="canary", share=1.0), says("AAPL: "))
        step(lambda: put(var, second, mode="canary", share=1.0), mode("canary"))
        assert state()["status"] == "ok"
        # Promoted, and the former champion becomes its shadow.
        step(lambda: promote(root, second, {**own, **card(FEATURES)}), says("model that serves"))
        step(lambda: put(var, champion, own), mode("shadow"))
        step(lambda: take(var), lambda health: health["challengers"] == {})
        published = list(predictions(feed, len(load.answers)))
    assert load.failures == []
    assert {answer.status for answer in load.answers} == {200}
    # Each answer is of one model, whole.
    assert len({(answer.md5, answer.forecast) for answer in load.answers}) == 3
    assert {answer.revision for answer in load.answers} == {"image-7", "c" * 40}
    with sqlite3.connect(var / "predictions.db") as log:
        counted = dict(log.execute("SELECT role, count(*) FROM prediction_logs GROUP BY role"))
        # A champion and a challenger, on the same row, for each request that both took part in.
        query = (
            "SELECT count(DISTINCT model_md5), count(DISTINCT as_of || symbol) "
            "FROM prediction_logs GROUP BY request_id HAVING count(*) = 2"
        )
        pairs = set(log.execute(query))
        most = log.execute(
            "SELECT max(n) FROM (SELECT count(*) AS n FROM prediction_logs GROUP BY request_id)"
        ).fetchone()
        query = "SELECT id FROM prediction_logs WHERE role IS NULL OR role = 'canary' ORDER BY id"
        answered = [identifier for (identifier,) in log.execute(query)]
    log.close()
    # The live feed sends answers, and nothing that was only logged.
    assert {each["model"].get("role") for each in published} == {None, "canary"}
    assert set(answered) >= {each["id"] for each in published}
    # The last few answers may have reached nobody.
    assert len(load.answers) <= counted[None] + counted["canary"] <= len(load.answers) + 4
    assert counted["shadow"] > 4 * ENOUGH
    assert (pairs, most) == ({(2, 1)}, (2,))
    assert "Traceback" not in server.log_text()
