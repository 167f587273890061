"""Arrow streams over HTTP: the answer, the kept file, and what a server makes of bad senders."""

import io
import socket
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from statistics import median
from uuid import UUID

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient

from serve.app import create
from serve.checkout.bundle import Bundle
from serve.server_settings import Settings
from stages.forecast.contract import FORECAST_OUTPUTS
from tests.narrow import wait_for
from tests.serve.forecasts.streams import HEADERS, features, table, written
from tests.serve.servers import Server

PATH = "/batch-predict?horizon=short"


def test_an_answer_is_kept_under_its_id(client: TestClient, bundle: Bundle, var: Path) -> None:
    model = bundle.models["short"]
    body = written(table(model, 500, {"symbol": ["X"] * 500}), 120)
    answer = client.post(PATH, content=body, headers=HEADERS)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == HEADERS["Content-Type"]
    identifier = answer.headers["batch-id"]
    assert UUID(identifier).version == 7
    assert answer.headers["location"] == f"/batches/{identifier}"
    output = pa.ipc.open_stream(answer.content).read_all()
    assert output.schema.metadata[b"id"].decode() == identifier
    assert output["return"].to_numpy().tobytes() == (
        model.session(features(model, 500))["return"].tobytes()
    )

    described = client.get(f"/batches/{identifier}").json()
    path = var / "batches" / f"{identifier}.parquet"
    assert described["size"] == path.stat().st_size
    assert described["rows"] == 500
    assert described["horizon"] == "short"
    assert described["columns"][:2] == ["symbol", "return_lag1"]
    assert described["model"] == client.get("/version").json()["models"]["short"]

    whole = client.get(f"/batches/{identifier}?format=parquet")
    assert whole.content == path.read_bytes()
    stored = pq.read_table(io.BytesIO(whole.content))
    streamed = client.get(f"/batches/{identifier}?format=arrow")
    assert streamed.headers["content-type"] == HEADERS["Content-Type"]
    assert pa.ipc.open_stream(streamed.content).read_all() == stored
    assert stored.select(output.column_names) == output


def test_polars_can_send_and_read(client: TestClient, bundle: Bundle) -> None:
    frame = pl.from_arrow(table(bundle.models["short"], 50))
    assert isinstance(frame, pl.DataFrame)
    sink = io.BytesIO()
    frame.with_columns(symbol=pl.lit("AAPL"), as_of=pl.date(2012, 12, 31)).write_ipc_stream(sink)
    answer = client.post(PATH, content=sink.getvalue(), headers=HEADERS)
    output = pl.read_ipc_stream(io.BytesIO(answer.content))
    assert output.columns == ["symbol", "as_of", *FORECAST_OUTPUTS]
    assert output.height == 50


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        (PATH, b"", 422, "the body is empty"),
        (PATH, b"hello, this is no stream", 422, "not an Arrow IPC stream"),
        ("/batch-predict", b"", 422, "no horizon; an Arrow stream goes to /batch-predict?horizon="),
        ("/batch-predict?horizon=shrt", b"", 404, "did you mean short?"),
    ],
)
def test_each_mistake_is_named(
    client: TestClient, path: str, body: bytes, status: int, says: str
) -> None:
    answer = client.post(path, content=body, headers=HEADERS)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert says in answer.json()["detail"]


def test_a_batch_that_is_not_there(client: TestClient) -> None:
    answer = client.get("/batches/01a21191-483f-7684-a1d6-25a5d09f5cef")
    assert answer.status_code == 404
    assert client.get("/batches/../../dvc.lock").status_code == 404
    assert client.get("/batches/%2e%2e%2fx").status_code in {404, 422}
    assert client.get("/batches/x").status_code == 422


def test_a_damaged_file_is_a_503(client: TestClient, var: Path) -> None:
    folder = var / "batches"
    folder.mkdir(exist_ok=True)
    name = "01a21191-483f-7684-a1d6-25a5d09f5cef"
    (folder / f"{name}.parquet").write_bytes(b"PAR1 no more PAR1")
    answer = client.get(f"/batches/{name}")
    assert answer.status_code == 503
    assert "cannot be read" in answer.json()["detail"]


def test_a_stream_beyond_the_limit_is_refused(
    bundle: Bundle, reproduced: Path, tmp_path: Path
) -> None:
    body = written(table(bundle.models["short"], 1000))
    settings = Settings(root=reproduced, var=tmp_path, max_arrow_body=len(body) - 1)

    def parts() -> Iterator[bytes]:
        yield body[:1000]
        yield body[1000:]

    with TestClient(create(settings)) as client:
        for content in (body, parts()):
            answer = client.post(PATH, content=content, headers=HEADERS)
            assert answer.status_code == 413
            assert "SERVE_MAX_ARROW_BODY" in answer.json()["detail"]
    assert not (tmp_path / "batches").exists()


@pytest.fixture
def server(reproduced: Path, tmp_path: Path) -> Iterator[Server]:
    with Server(reproduced, tmp_path) as server:
        yield server


def post(server: Server, body: bytes) -> str:
    request = urllib.request.Request(f"{server.url}{PATH}", data=body, headers=HEADERS)
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read()
        return str(answer.headers["Batch-Id"])


def test_other_requests_are_answered_meanwhile(server: Server, bundle: Bundle) -> None:
    body = written(table(bundle.models["short"], 400_000))
    waits = []
    with ThreadPoolExecutor(1) as pool:
        began = time.monotonic()
        work = pool.submit(post, server, body)
        while not work.done():
            start = time.monotonic()
            urllib.request.urlopen(f"{server.url}/predict/short", timeout=60).close()
            waits.append(time.monotonic() - start)
            time.sleep(0.005)
        seconds = time.monotonic() - began
        assert work.result()
    # The batch takes some seconds, and nobody else waits for most of them.
    assert len(waits) > 10
    assert median(waits) < max(0.1, 0.1 * seconds)
    assert max(waits) < seconds / 2


def test_senders_that_dawdle_or_leave_are_let_go(
    bundle: Bundle, reproduced: Path, tmp_path: Path
) -> None:
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {HEADERS['Content-Type']}\r\n"
        "Content-Length: 100000\r\n\r\n"
    )
    with Server(reproduced, tmp_path, REQUEST_TIMEOUT="3") as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as slow:
            slow.sendall(head.encode() + b"abc")
            with socket.create_connection(("127.0.0.1", server.port)) as gone:
                gone.sendall(head.encode() + b"abc")
            answer = b""
            while part := slow.recv(4096):
                answer += part
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"did not arrive within 3 s" in answer
        # Both have given their turns back.
        for _ in range(2):
            post(server, written(table(bundle.models["short"], 10)))
        assert "Traceback" not in server.log_text()


def test_what_was_answered_outlives_a_kill(
    bundle: Bundle, reproduced: Path, tmp_path: Path
) -> None:
    body = written(table(bundle.models["long"], 20_000))
    answered: list[str] = []

    def send(server: Server) -> None:
        while True:
            try:
                answered.append(post(server, body))
            except (OSError, HTTPException):
                return

    def killed_after(count: int) -> None:
        with Server(reproduced, tmp_path) as server, ThreadPoolExecutor(1) as pool:
            work = pool.submit(send, server)
            try:
                wait_for(lambda: len(answered) >= count)
            finally:
                server.kill()
            work.result()

    killed_after(5)
    killed_after(len(answered) + 5)
    folder = tmp_path / "batches"
    for identifier in answered:
        assert pq.read_table(folder / f"{identifier}.parquet").num_rows == 20_000
    # A batch may be stored although its answer did not arrive; none is half there.
    stored = list(folder.glob("*.parquet"))
    assert len(answered) <= len(stored) <= len(answered) + 2
    assert all(pq.read_metadata(path).num_rows == 20_000 for path in stored)
