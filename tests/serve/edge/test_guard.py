"""Around every request: roles, ids, headers, limits and deadlines, and what leaves of a failure."""

import asyncio
import gzip
import re
import socket
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import uvicorn
from fastapi import FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketDenialResponse
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect

from serve.app import create
from serve.edge import keyring
from serve.server_settings import Settings
from tests.serve.servers import Server

SECRETS = {role: keyring.make(role, [role]) for role in keyring.ROLES}
KEYS = " ".join(str(key) for _, key in SECRETS.values())


def opened(root: Path, var: Path, **settings: Any) -> TestClient:
    app = create(Settings(root=root, var=var, **settings))
    return TestClient(app, raise_server_exceptions=False)


@pytest.fixture
def guarded(models: Path, tmp_path: Path) -> Iterator[TestClient]:
    with opened(models, tmp_path, keys=KEYS) as client:
        yield client


def bearer(role: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {SECRETS[role][0]}"}


@pytest.mark.parametrize(
    ("method", "path", "roles"),
    [
        ("GET", "/", {None, "predict", "label", "admin"}),
        ("GET", "/health/live", {None, "predict", "label", "admin"}),
        ("GET", "/openapi.json", {None, "predict", "label", "admin"}),
        ("POST", "/predict/short", {"predict", "admin"}),
        ("GET", "/symbols", {"predict", "admin"}),
        ("GET", "/metrics", {"admin"}),
        ("GET", "/metrics/AAPL", {"predict", "admin"}),
    ],
)
def test_a_role_opens_what_is_its_own(
    guarded: TestClient, method: str, path: str, roles: set[str | None]
) -> None:
    for role in (None, *keyring.ROLES):
        headers = bearer(role) if role else {}
        answer = guarded.request(method, path, headers=headers)
        expected = 200 if role in roles else 403 if role else 401
        assert answer.status_code == expected, (role, answer.text)
        if expected != 200:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["www-authenticate"].startswith("Bearer")


def test_roles_are_the_same_below_a_root_path(models: Path, tmp_path: Path) -> None:
    """With `--root-path /api` uvicorn puts `/api` before the path that was asked for."""
    app = create(Settings(root=models, var=tmp_path, keys=KEYS))
    with TestClient(app, root_path="/api") as client:
        assert client.get("/api/health").status_code == 200
        assert client.get("/api/symbols", headers=bearer("predict")).status_code == 200
        for role in ("predict", "label"):
            assert client.get("/api/metrics", headers=bearer(role)).status_code == 403
        assert client.get("/api/metrics", headers=bearer("admin")).status_code == 200
        assert client.post("/api/labels", headers=bearer("predict")).status_code == 403


def test_labels_need_the_role_of_labels(guarded: TestClient) -> None:
    refused = guarded.post("/labels", headers=bearer("predict"))
    assert refused.status_code == 403
    assert refused.json()["type"] == "/problems/role"
    assert "key of predict" in refused.json()["detail"]
    assert "role label" in refused.json()["detail"]
    assert guarded.post("/labels", headers=bearer("label")).status_code not in (401, 403)


@pytest.mark.parametrize(
    "header",
    ["Bearer x.y", "Bearer ", "Bearer", "Basic cHJlZGljdDp4", "bearer {label}x"],
)
def test_what_is_no_key_opens_nothing(guarded: TestClient, header: str) -> None:
    header = header.format(label=SECRETS["label"][0])
    answer = guarded.get("/symbols", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.json()["type"] == "/problems/unknown-key"


def test_the_document_says_which_role_is_needed(guarded: TestClient) -> None:
    document = guarded.get("/openapi.json").json()
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    paths = document["paths"]
    assert paths["/predict"]["post"]["security"] == [{"key": []}]
    assert "of role `predict`" in paths["/predict"]["post"]["description"]
    assert "of role `admin`" in paths["/metrics"]["get"]["description"]
    assert "security" not in paths["/health"]["get"]


def test_the_key_stands_in_the_prediction_log(guarded: TestClient, tmp_path: Path) -> None:
    headers = {**bearer("predict"), "X-Request-Id": "mine-1"}
    assert guarded.post("/predict/short", headers=headers).status_code == 200
    with sqlite3.connect(tmp_path / "predictions.db") as log:
        (row,) = log.execute("select client, request_id from prediction_logs").fetchall()
    assert row == ("predict", "mine-1")


def test_every_answer_has_an_id_and_safe_headers(client: TestClient) -> None:
    for path in ("/", "/nowhere", "/plot/NONE"):
        answer = client.get(path)
        assert re.fullmatch(r"[0-9a-f-]{36}", answer.headers["x-request-id"])
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert "strict-transport-security" not in answer.headers
    answer = client.get("/nowhere", headers={"X-Request-Id": "a.b-C_1"})
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "a.b-C_1"
    forged = client.get("/", headers={"X-Request-Id": '{"a":1}'})
    assert re.fullmatch(r"[0-9a-f-]{36}", forged.headers["x-request-id"])


def test_a_refused_listener_is_told_why(guarded: TestClient) -> None:
    for headers, status, kind in (
        ({}, 401, "no-key"),
        (bearer("label"), 403, "role"),
        ({**bearer("predict"), "Origin": "https://evil.example"}, 403, "origin"),
        ({**bearer("predict"), "Origin": "http://["}, 403, "origin"),
    ):
        with (
            pytest.raises(WebSocketDenialResponse) as refused,
            guarded.websocket_connect("/live", headers=headers),
        ):
            raise AssertionError
        assert refused.value.status_code == status
        assert refused.value.json()["type"] == f"/problems/{kind}"
        assert refused.value.headers["x-request-id"] == refused.value.json()["request_id"]
    page = guarded.get("/metrics", headers=bearer("admin")).text
    # Which route it was for is found out after the key.
    for route, status, count in (("other", 401, 1), ("other", 403, 1), ("/live", 403, 2)):
        line = f'serve_requests_total{{method="WS",route="{route}",status="{status}"}} {count}.0'
        assert line in page


def test_pages_of_the_listed_origins_may_ask(models: Path, tmp_path: Path) -> None:
    desk, evil = {"Origin": "https://desk.example"}, {"Origin": "https://evil.example"}
    preflight = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    with opened(models, tmp_path, keys=KEYS, cors_origins=("https://desk.example",)) as client:
        allowed = client.options("/predict/short", headers={**desk, **preflight})
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == "https://desk.example"
        assert client.options("/predict", headers={**evil, **preflight}).status_code == 400
        # A page must be able to read why it was refused.
        refused = client.get("/symbols", headers=desk)
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == "https://desk.example"
        other = client.get("/symbols", headers={**evil, **bearer("predict")})
        assert "access-control-allow-origin" not in other.headers


def test_each_key_has_a_rate_of_its_own(models: Path, tmp_path: Path) -> None:
    with opened(models, tmp_path, keys=KEYS, rate_limit=3) as client:
        statuses = [client.get("/symbols", headers=bearer("predict")).status_code for _ in range(4)]
        assert statuses == [200, 200, 200, 429]
        refused = client.get("/symbols", headers=bearer("predict"))
        # The time of the requests themselves counts as waiting.
        seconds = refused.headers["retry-after"]
        assert seconds in {"19", "20"}
        assert refused.json()["detail"] == (
            f"3 requests a minute are allowed (SERVE_RATE_LIMIT); wait {seconds} s"
        )
        assert client.get("/symbols", headers=bearer("admin")).status_code == 200
        # Guessing of keys is counted by address.
        assert [client.get("/symbols").status_code for _ in range(4)] == [401, 401, 401, 429]
        assert client.get("/health/live").status_code == 200
        # Only what probes ask for is free.
        assert client.get("/healthy").status_code == 429


def test_a_body_that_is_too_large_is_refused_however_it_comes(models: Path, tmp_path: Path) -> None:
    with opened(models, tmp_path, max_body=1000) as client:
        declared = client.post("/predict", content=b" " * 1001)
        chunked = client.post("/predict", content=iter([b" " * 600, b" " * 600]))
        batch = client.post("/batch-predict", content=iter([b" " * 600, b" " * 600]))
        direct = client.post(
            "/predict/short",
            content=iter([b" " * 600, b" " * 600]),
            headers={"Content-Type": "application/json"},
        )
        for answer in (declared, chunked, batch, direct):
            assert answer.status_code == 413
            assert answer.json()["detail"] == "the body is larger than 1,000 bytes (SERVE_MAX_BODY)"
            assert answer.json()["type"] == "/problems/body-too-large"
        assert client.post("/predict", content=b" " * 1000).status_code == 422
        page = client.get("/metrics").text
    for path in ("/predict", "/batch-predict", "/predict/short"):
        assert f'serve_requests_total{{method="POST",route="{path}",status="413"}} 1.0' in page


ONCE = (
    *("Authorization", "Content-Encoding", "Content-Length", "Content-Type", "Host", "Origin"),
    *("Sec-Fetch-Site", "Transfer-Encoding"),
)


@pytest.mark.parametrize("name", ONCE)
def test_a_header_that_can_say_only_one_thing_comes_once(guarded: TestClient, name: str) -> None:
    """Else one part of the server would go by the first, another by the last."""
    detail = f"{name.lower()}: this header came more than once; send it once"
    twice = [(name, "1"), (name, "2")]
    apart = [(name, "1"), ("X-Other", "3"), (name.lower(), "1")]
    for headers in (twice, apart):
        answer = guarded.post("/labels", content=b"1", headers=headers)
        assert answer.status_code == 400
        assert answer.json()["type"] == "/problems/repeated-header"
        assert answer.json()["detail"] == detail
    several = [("Accept", "text/html"), ("Accept", "*/*")]
    assert guarded.get("/health/live", headers=several).status_code == 200


def test_a_json_body_has_its_own_limit_whatever_else_it_is_said_to_be(
    models: Path, tmp_path: Path
) -> None:
    kinds = ("application/json", "application/vnd.apache.arrow.stream")
    with opened(models, tmp_path, max_body=1000) as client:
        for first, last in (kinds, kinds[::-1]):
            headers = [("Content-Type", first), ("Content-Type", last)]
            large = client.post("/batch-predict", content=b" " * 2000, headers=headers)
            assert large.status_code == 400
            assert large.json()["type"] == "/problems/repeated-header"


def test_what_is_repeated_is_refused_on_a_real_connection(models: Path, tmp_path: Path) -> None:
    head, body = raw_answer(
        create(Settings(root=models, var=tmp_path)),
        b"POST /predict/short HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nContent-Length: 2\r\n"
        b"Content-type: text/plain\r\n\r\n{}",
    )
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: this header came more than once; send it once" in body


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (b"HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", b"no Host header"),
        (b"HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: x, chunked\r\n", b"'x, chunked'"),
        (b"HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n", b"gzip"),
    ],
)
@pytest.mark.parametrize("path", [b"/predict/short", b"/labels"])
def test_a_request_that_a_proxy_may_read_otherwise_is_refused(
    models: Path, tmp_path: Path, lines: bytes, says: bytes, path: bytes
) -> None:
    app = create(Settings(root=models, var=tmp_path))
    head, body = raw_answer(app, b"POST " + path + b" " + lines + b"\r\n2\r\n{}\r\n0\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in head
    assert says in body
    assert b"application/problem+json" in head


def test_http_1_0_needs_no_host(models: Path, tmp_path: Path) -> None:
    app = create(Settings(root=models, var=tmp_path))
    head, _ = raw_answer(app, b"GET /symbols HTTP/1.0\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("path", ["/predict/short", "/predict", "/predict/IBM", "/labels"])
def test_a_compressed_body_is_said_to_be_one(guarded: TestClient, path: str) -> None:
    headers = {**bearer("admin"), "Content-Encoding": "gzip", "Content-Type": "application/json"}
    answer = guarded.post(path, content=gzip.compress(b"{}"), headers=headers)
    assert answer.status_code == 415
    assert answer.json()["type"] == "/problems/content-encoding"
    for fact in ("gzip", "as it is"):
        assert fact in answer.json()["detail"]
    headers["Content-Encoding"] = "identity"
    assert guarded.post(path, content=b"{", headers=headers).status_code == 422


def failing(app: FastAPI) -> FastAPI:
    @app.websocket("/fails-at-once")
    async def fails_at_once(_: WebSocket) -> None:
        raise RuntimeError("inner sesame")

    @app.websocket("/fails-later")
    async def fails_later(websocket: WebSocket) -> None:
        await websocket.accept()
        raise RuntimeError("inner sesame")

    @app.websocket("/takes-its-time")
    async def takes_its_time(websocket: WebSocket) -> None:
        await asyncio.sleep(0.5)
        await websocket.accept()

    @app.get("/fails")
    async def fails() -> None:
        secret = "sesame"  # noqa: S105
        raise RuntimeError(f"inner {secret}")

    @app.get("/sleeps")
    async def sleeps() -> None:
        await asyncio.sleep(60)

    @app.get("/tears")
    async def tears() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"first"
            raise RuntimeError("inner sesame")

        return StreamingResponse(parts())

    return app


@contextmanager
def listening(app: FastAPI) -> Iterator[int]:
    """A real server of an app; gives its port."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


def raw_answer(app: FastAPI, request: bytes) -> tuple[bytes, bytes]:
    """Head and body of what a server sends until it hangs up."""
    with (
        listening(app) as port,
        socket.create_connection(("127.0.0.1", port), timeout=10) as link,
    ):
        link.sendall(request)
        content = b""
        while part := link.recv(4096):
            content += part
    head, _, body = content.partition(b"\r\n\r\n")
    return head, body


@pytest.mark.parametrize("path", [b"/predict/short", b"/predict", b"/batch-predict"])
def test_a_body_that_does_not_come_is_not_waited_for(
    models: Path, tmp_path: Path, path: bytes
) -> None:
    head, body = raw_answer(
        create(Settings(root=models, var=tmp_path, request_timeout=0.2)),
        b"POST " + path + b" HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 100\r\n\r\n{",
    )
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"the body did not arrive within 0.2 s (SERVE_REQUEST_TIMEOUT)" in body


def test_an_answer_that_fails_half_way_is_cut_off_and_nothing_else_leaves(
    models: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = failing(create(Settings(root=models, var=tmp_path)))
    head, body = raw_answer(app, b"GET /tears HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    # Without the empty chunk that would end it.
    assert body == b"5\r\nfirst\r\n"
    assert "inner sesame" in caplog.text


def test_of_a_failure_only_its_id_leaves(
    models: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = failing(create(Settings(root=models, var=tmp_path)))
    with TestClient(app, raise_server_exceptions=False) as client:
        answer = client.get("/fails", headers={"X-Request-Id": "lost"})
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == "the server failed; its log has it under lost"
    assert "sesame" not in answer.text
    assert "inner sesame" in caplog.text


def test_a_listener_is_told_of_a_failure_by_its_id_alone(
    models: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = failing(create(Settings(root=models, var=tmp_path)))
    named = {"X-Request-Id": "lost"}
    with listening(app) as port:
        url = f"ws://127.0.0.1:{port}"
        with pytest.raises(InvalidStatus) as refused:
            connect(f"{url}/fails-at-once", additional_headers=named, proxy=None)
        answer = refused.value.response
        assert answer.status_code == 500
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-request-id"] == "lost"
        detail = b'"detail":"the server failed; its log has it under lost"'
        assert detail in (answer.body or b"")
        # What has begun cannot be answered any more; it is cut off.
        with (
            connect(f"{url}/fails-later", proxy=None) as begun,
            pytest.raises(ConnectionClosedError),
        ):
            begun.recv(10)
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as metrics:
            page = metrics.read().decode()
    for path in ("/fails-at-once", "/fails-later"):
        assert f'serve_requests_total{{method="WS",route="{path}",status="500"}} 1.0' in page
        assert f"{path} failed" in caplog.text


def test_a_listener_that_does_not_wait_is_no_failure(
    models: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = failing(create(Settings(root=models, var=tmp_path)))
    with listening(app) as port:
        with pytest.raises(TimeoutError):
            connect(f"ws://127.0.0.1:{port}/takes-its-time", proxy=None, open_timeout=0.1)
        time.sleep(1)
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as metrics:
            page = metrics.read().decode()
    line = 'serve_requests_total{method="WS",route="/takes-its-time",status="499"} 1.0'
    assert line in page
    assert "Traceback" not in caplog.text


def test_what_takes_too_long_is_ended(models: Path, tmp_path: Path) -> None:
    app = failing(create(Settings(root=models, var=tmp_path, request_timeout=1.0)))
    with TestClient(app) as client:
        answer = client.get("/sleeps")
        assert answer.status_code == 503
        assert answer.json()["detail"].startswith("there was no answer within 1 s")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert client.post("/predict/short").status_code == 200


@pytest.mark.slow
def test_a_monitor_may_ask_for_the_headers_alone(models: Path, tmp_path: Path) -> None:
    with Server(models, tmp_path) as server:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
        for path, status in {
            "/health": 200,
            "/horizons": 200,
            "/nowhere": 404,
            "/labels": 405,
        }.items():
            connection.request("GET", path)
            whole = connection.getresponse()
            body = whole.read()
            connection.request("HEAD", path)
            # A body would be taken for the beginning of the next answer.
            bare = connection.getresponse()
            assert bare.read() == b""
            assert bare.status == whole.status == status
            assert bare.headers["content-type"] == whole.headers["content-type"]
            if path == "/horizons":
                assert int(bare.headers["content-length"]) == len(body)
        connection.request("GET", "/metrics")
        counted = connection.getresponse().read().decode()
        # A forecast is logged, and a request for headers must change nothing (RFC 9110, 9.2.1).
        for path in ("/predict/short", "/predict/AAPL", "/predict/short?symbol=IBM"):
            connection.request("HEAD", path)
            refused = connection.getresponse()
            assert refused.read() == b""
            assert refused.status == 405
            assert refused.headers["allow"] == "GET, POST"
        connection.request("GET", "/predictions")
        assert b'"predictions":[]' in connection.getresponse().read()
        connection.close()
    assert 'serve_requests_total{method="HEAD",route="/health",status="200"} 1.0' in counted
