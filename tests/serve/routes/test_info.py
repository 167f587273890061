"""What `/health` says: what is wrong, and apart from it what is old."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from serve.checkout.bundle import OLD
from serve.checkout.follow import Follower


@pytest.fixture
def follower(client: TestClient) -> Iterator[Follower]:
    """What the server follows; it is as before when a test ends."""
    follower: Follower = client.app.state.service.follower  # type: ignore[attr-defined]
    former = follower.current, follower.problem
    yield follower
    follower.current, follower.problem = former


def health(client: TestClient) -> tuple[int, dict[str, Any]]:
    answer = client.get("/health")
    return answer.status_code, answer.json()


def test_old_bars_are_nothing_wrong(client: TestClient, follower: Follower) -> None:
    status, state = health(client)
    assert (status, state["status"], state["stale"]) == (200, "ok", True)
    features = state["checks"]["features"]
    assert features["status"] == "ok"
    for fact in ("2012-12-31", "sessions ago", "make refresh"):
        assert fact in features["detail"]

    assert follower.current is not None
    newest = int(follower.current.rows["AAPL"].days[-1])
    known = [day for day in follower.current.sessions if day <= newest]
    follower.current = replace(follower.current, sessions=known)
    status, state = health(client)
    assert (status, state["status"], state["stale"]) == (200, "ok", False)
    assert "ago" not in state["checks"]["features"]["detail"]


def test_what_is_wrong_shows_beside_what_is_old(client: TestClient, follower: Follower) -> None:
    follower.problem = "models/short/model.onnx: md5 is another"
    status, state = health(client)
    assert (status, state["status"], state["stale"]) == (200, "degraded", True)
    assert state["checks"]["bundle"]["status"] == "degraded"

    follower.current = None
    status, state = health(client)
    assert (status, state["status"], state["stale"]) == (503, "down", None)


def test_a_symbol_that_ended_long_ago_is_marked(client: TestClient, follower: Follower) -> None:
    assert not any(row["stale"] for row in client.get("/symbols").json())
    assert client.get("/predict/IBM").json()["stale"] is False
    bundle = follower.current
    assert bundle is not None
    service = client.app.state.service  # type: ignore[attr-defined]
    for bars, stale in ((OLD, False), (OLD + 1, True)):
        rows = bundle.rows["IBM"]
        cut = replace(
            rows,
            days=rows.days[:-bars],
            closes=rows.closes[:-bars],
            features={name: values[:-bars] for name, values in rows.features.items()},
        )
        shorter = replace(bundle, rows={**bundle.rows, "IBM": cut})
        follower.current = shorter
        service._swapped(shorter)
        marked = {row["symbol"]: row["stale"] for row in client.get("/symbols").json()}
        assert marked == {"AAPL": False, "GOOG": False, "IBM": stale, "MSFT": False}
        assert client.get("/predict/IBM").json()["stale"] is stale
        for answer in (
            client.get("/predict/short", params={"symbol": "IBM"}),
            client.post("/predict/short", json={"symbol": "IBM"}),
            client.post("/predict/short", json={"symbol": "IBM", "as_of": "2012-10-01"}),
        ):
            assert answer.json()["stale"] is stale
        detail = client.get("/health").json()["checks"]["features"]["detail"]
        assert ("IBM ended" in detail) is stale
    service._swapped(bundle)
