"""What `/health` says: what is wrong, and apart from it what is old."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from serve.checkout.follow import Follower


@pytest.fixture
def follower(client: TestClient) -> Iterator[Follower]:
    """What the server follows; it is as before when a test ends."""
    found: Follower = client.app.state.service.follower  # type: ignore[attr-defined]
    former = found.current, found.problem
    yield found
    found.current, found.problem = former


def health(client: TestClient) -> tuple[int, dict[str, Any]]:
    answer = client.get("/health")
    return answer.status_code, answer.json()


def test_old_bars_are_nothing_wrong(client: TestClient, follower: Follower) -> None:
    status, found = health(client)
    assert (status, found["status"], found["stale"]) == (200, "ok", True)
    features = found["checks"]["features"]
    assert features["status"] == "ok"
    for fact in ("2012-12-31", "sessions ago", "make refresh"):
        assert fact in features["detail"]

    assert follower.current is not None
    newest = int(follower.current.rows["AAPL"].days[-1])
    known = [day for day in follower.current.sessions if day <= newest]
    follower.current = replace(follower.current, sessions=known)
    status, found = health(client)
    assert (status, found["status"], found["stale"]) == (200, "ok", False)
    assert "ago" not in found["checks"]["features"]["detail"]


def test_what_is_wrong_shows_beside_what_is_old(client: TestClient, follower: Follower) -> None:
    follower.problem = "models/short/model.onnx: md5 is another"
    status, found = health(client)
    assert (status, found["status"], found["stale"]) == (200, "degraded", True)
    assert found["checks"]["bundle"]["status"] == "degraded"

    follower.current = None
    status, found = health(client)
    assert (status, found["status"], found["stale"]) == (503, "down", None)
