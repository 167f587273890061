"""A parameter that a route does not take is refused, never ignored."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketDenialResponse

from serve.app import create
from serve.server_settings import Settings


@pytest.fixture(scope="module")
def client(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with TestClient(create(Settings(root=models, var=tmp_path_factory.mktemp("var")))) as client:
        yield client


def logged(client: TestClient) -> int:
    return len(client.get("/predictions").json()["predictions"])


@pytest.mark.parametrize(
    ("method", "address", "facts"),
    [
        ("POST", "/predict/short?symbol=IBM", ("'symbol'", "in the body")),
        ("GET", "/predict/short?ticker=IBM", ("'ticker'", "takes symbol, as_of")),
        ("GET", "/predict/short?Symbol=IBM", ("'Symbol' (did you mean symbol?)",)),
        ("GET", "/predict/short?symbol=IBM&asof=2012-12-20", ("'asof' (did you mean as_of?)",)),
        (
            "GET",
            "/predict/IBM?date=2012-12-20",
            ("'date'", "/predict/{symbol} takes symbol, as_of"),
        ),
        ("POST", "/predict/IBM?as_of=2012-12-20", ("'as_of'", "in the body")),
        ("POST", "/predict?horizon=short", ("'horizon'", "in the body")),
        ("GET", "/predictions?to=2013-01-01", ("'to'", "from, until")),
        ("GET", "/predict/short?symbol=IBM&symbol=AAPL", ("symbol", "2 times")),
        ("GET", "/predict/short?as_of=2012-12-20;symbol=IBM", ()),
        ("GET", "/predict/short?=IBM", ("''",)),
        ("GET", "/predict/short?" + "a" * 5_000 + "=1", ("'" + "a" * 64 + "'",)),
        ("POST", "/labels?prediction_id=1", ("'prediction_id'", "in the body")),
        ("GET", "/openapi.json?x=1", ("'x'", "takes none")),
    ],
)
def test_an_unknown_parameter_is_refused(
    client: TestClient, method: str, address: str, facts: tuple[str, ...]
) -> None:
    before = logged(client)
    answer = client.request(method, address)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    for fact in facts:
        assert fact in answer.json()["detail"]
    assert logged(client) == before


def test_no_endpoint_ignores_a_parameter(client: TestClient) -> None:
    contexts = list(iter_route_contexts(client.app.routes))  # type: ignore[attr-defined]
    for context in contexts:
        path = (context.path or "").replace("{symbol}", "AAPL").replace("{identifier}", "1")
        for method in context.methods or ():
            answer = client.request(method, f"{path}?nonsense=1")
            assert answer.status_code in {422, 405}, (method, path)
            if method != "HEAD":
                assert answer.json()["type"] == "/problems/unknown-parameter"
    with (
        pytest.raises(WebSocketDenialResponse) as refused,
        client.websocket_connect("/live?symbol=IBM"),
    ):
        pass
    assert refused.value.status_code == 422
    assert any(context.path == "/live" for context in contexts)


def test_a_parameter_that_contradicts_path_or_body_is_refused(client: TestClient) -> None:
    rows = {"horizon": "long", "rows": [{}]}
    before = logged(client)
    for answer, facts in (
        (client.post("/batch-predict?horizon=short", json=rows), ("'short'", "'long'")),
        (client.get("/predict/IBM?symbol=AAPL"), ("'AAPL'", "IBM")),
        (client.post("/predict/IBM", json={"symbol": "AAPL"}), ("'AAPL'", "IBM")),
        (client.request("GET", "/predict/short", json={"symbol": "IBM"}), ("body", "POST")),
    ):
        assert answer.status_code == 422, answer.text
        for fact in facts:
            assert fact in answer.json()["detail"]
    assert logged(client) == before
    agreeing = client.post("/batch-predict?horizon=long", json=rows)
    assert agreeing.status_code == 200


def test_what_is_known_passes(client: TestClient) -> None:
    assert client.get("/predict/short?symbol=IBM&as_of=2012-12-20").json()["symbol"] == "IBM"
    assert client.get("/symbols?").status_code == 200
    assert client.get("/symbols", headers={"Content-Length": "0"}).status_code == 200
    assert client.get("/nowhere?x=1").status_code == 404
    assert client.put("/predict/short?x=1").status_code == 405
    assert client.request("GET", "/labels", json={}).status_code == 405
    assert client.request("GET", "/nowhere", json={}).status_code == 404
