"""The live feed, of real servers with real workers, and of a log of its own."""

import asyncio
import json
import os
import signal
import socket
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from predictions import migrate
from predictions.access import Access
from predictions.database import Database
from predictions.engine import connect as connect_log
from serve.answer_schemas import Prediction
from serve.checkout.loading import load
from serve.forecasts.batch_files import Store
from serve.observe import listeners
from serve.observe.listeners import CrowdedError, Live, Reader
from tests.predictions.rows import row
from tests.projects import Project
from tests.serve.forecasts.streams import HEADERS, table, written
from tests.serve.servers import Server


@pytest.fixture(scope="module")
def server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(models, tmp_path_factory.mktemp("live")) as server:
        yield server


def ask(server: Server, path: str, body: bytes, headers: Mapping[str, str]) -> HTTPResponse:
    request = urllib.request.Request(f"{server.url}{path}", data=body, headers=dict(headers))
    answer: HTTPResponse = urllib.request.urlopen(request, timeout=30)
    return answer


def predict(server: Server, path: str = "/predict/short", body: bytes = b"{}") -> Any:
    with ask(server, path, body, {"Content-Type": "application/json"}) as answer:
        return json.load(answer)


async def listen(server: Server) -> ClientConnection:
    feed = await connect(f"{server.url.replace('http', 'ws')}/live", proxy=None)
    hello = json.loads(await asyncio.wait_for(feed.recv(), 10))
    assert hello["type"] == "hello"
    assert set(hello["data"]) == {"revision", "as_of", "models"}
    return feed


async def messages_of(listener: ClientConnection, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(15):
        return [json.loads(await listener.recv()) for _ in range(count)]


def test_every_listener_hears_every_worker(models: Path, tmp_path: Path) -> None:
    arrow = written(table(load(models).models["short"], 500))

    async def scenario(server: Server) -> None:
        feeds = [await listen(server) for _ in range(4)]
        answers = [await asyncio.to_thread(predict, server) for _ in range(40)]
        # The remarks on a bar beside its forecast are not in the prediction log.
        expected = [{name: answer[name] for name in Prediction.model_fields} for answer in answers]
        for feed in feeds:
            messages = await messages_of(feed, 40)
            assert {message["type"] for message in messages} == {"prediction"}
            assert [message["data"] for message in messages] == expected
        many = json.dumps({"horizon": "short", "rows": [{}] * 1000}).encode()
        batch = (await asyncio.to_thread(predict, server, "/batch-predict", many))["predictions"]
        for feed in feeds:
            ids = [message["data"]["id"] for message in await messages_of(feed, 1000)]
            assert ids == [answer["id"] for answer in batch]
        path = "/batch-predict?horizon=short"
        answer = await asyncio.to_thread(ask, server, path, arrow, HEADERS)
        for feed in feeds:
            (message,) = await messages_of(feed, 1)
            assert message["type"] == "batch"
            assert message["data"]["id"] == answer.headers["Batch-Id"]
            assert message["data"]["rows"] == 500
        answer.close()
        await asyncio.to_thread(predict, server)
        started = time.monotonic()
        for feed in feeds:
            await messages_of(feed, 1)
        assert time.monotonic() - started < 1
        for feed in feeds:
            await feed.close()

    with Server(models, tmp_path / "var", WORKERS="2") as server:
        asyncio.run(scenario(server))
        assert "Traceback" not in server.log_text()


def test_a_change_of_revision_is_told(project: Project, tmp_path: Path) -> None:
    async def scenario(server: Server) -> None:
        listener = await listen(server)
        project.git("commit", "--quiet", "--allow-empty", "--message=Another")
        (message,) = await messages_of(listener, 1)
        assert message["type"] == "revision"
        assert message["data"]["revision"] == project.git("rev-parse", "HEAD").strip()
        assert set(message["data"]["models"]) == {"short", "long"}
        await listener.close()

    with Server(project.folder, tmp_path / "var") as server:
        asyncio.run(scenario(server))


def test_a_reader_that_does_not_read_is_dropped_and_no_one_else(server: Server) -> None:
    many = json.dumps({"horizon": "short", "rows": [{}] * 1000}).encode()
    handshake = (
        "GET /live HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )

    async def scenario() -> None:
        listener = await listen(server)
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", server.port))
        slow.sendall(handshake.encode())
        await asyncio.sleep(0.5)
        for _ in range(18):
            answers = await asyncio.to_thread(predict, server, "/batch-predict", many)
            messages = await messages_of(listener, 1000)
            assert messages[-1]["data"]["id"] == answers["predictions"][-1]["id"]
        # It reads at last, and was dropped in the middle.
        slow.settimeout(30)
        size = 0
        while part := await asyncio.to_thread(slow.recv, 1_000_000):
            size += len(part)
        assert size < 18_000 * 600
        slow.close()
        await asyncio.to_thread(predict, server)
        assert len(await messages_of(listener, 1)) == 1
        await listener.close()

    asyncio.run(scenario())
    assert "Traceback" not in server.log_text()


def test_what_a_reader_sends_is_taken_for_nothing(server: Server) -> None:
    async def scenario() -> None:
        listener = await listen(server)
        for content in ("{", b"\x00\xff", "x" * 10_000):
            await listener.send(content)
        await asyncio.to_thread(predict, server)
        assert (await messages_of(listener, 1))[0]["type"] == "prediction"
        await listener.close()

    asyncio.run(scenario())


def test_pages_of_other_origins_may_not_listen(server: Server) -> None:
    async def scenario() -> None:
        url = f"{server.url.replace('http', 'ws')}/live"
        with pytest.raises(InvalidStatus) as refused:
            await connect(url, origin="https://evil.example", proxy=None)  # type: ignore[arg-type]
        assert refused.value.response.status_code == 403
        async with connect(url, origin=server.url, proxy=None) as own:  # type: ignore[arg-type]
            assert json.loads(await own.recv())["type"] == "hello"

    asyncio.run(scenario())


@pytest.mark.parametrize("level", ["info", "debug"])
def test_neither_query_nor_headers_of_a_listener_are_logged(
    models: Path, tmp_path: Path, level: str
) -> None:
    async def scenario(server: Server) -> None:
        url = f"{server.url.replace('http', 'ws')}/live"
        headers = {"X-Other": "hidden-in-header", "X-Request-Id": "of-this-test"}
        async with connect(url, additional_headers=headers, proxy=None) as feed:
            await feed.recv()
        with pytest.raises(InvalidStatus, match="422"):
            await connect(f"{url}?key=hidden-in-query", additional_headers=headers, proxy=None)

    with Server(models, tmp_path / "var", LOG_LEVEL=level) as server:
        asyncio.run(scenario(server))
        deadline = time.monotonic() + 5
        while '"method":"WS"' not in server.log_text() and time.monotonic() < deadline:
            time.sleep(0.05)
    assert '"path":"/live"' in server.log_text()
    assert "hidden" not in server.log_text()


def test_no_caller_fills_the_log_and_each_refusal_is_a_problem(
    models: Path, tmp_path: Path
) -> None:
    refusals = {
        "/live": (403, "origin", {"origin": "https://evil.example"}),
        "/live?symbol=IBM": (422, "unknown-parameter", {}),
        "/symbols": (404, "unknown-path", {}),
        "/predict/short": (404, "unknown-path", {}),
        "/nowhere?symbol=IBM": (404, "unknown-path", {}),
    }

    async def scenario(server: Server) -> None:
        for path, (status, kind, options) in refusals.items():
            url = f"{server.url.replace('http', 'ws')}{path}"
            with pytest.raises(InvalidStatus) as refused:
                await connect(url, proxy=None, **options)  # type: ignore[arg-type]
            answer = refused.value.response
            assert answer.status_code == status, path
            assert answer.headers["content-type"] == "application/problem+json"
            assert json.loads(answer.body)["type"] == f"/problems/{kind}"

    with Server(models, tmp_path / "var") as server:
        asyncio.run(scenario(server))
        for request in (
            b"nonsense\r\n\r\n",
            b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade, close\r\n"
            b"Upgrade: h2c\r\n\r\n",
        ):
            with socket.create_connection(("127.0.0.1", server.port), timeout=10) as link:
                link.sendall(request)
                assert link.recv(100).startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 200 "))
    # The level is `warning`.
    assert server.log_text() == ""


def test_readers_are_told_when_the_server_stops(models: Path, tmp_path: Path) -> None:
    async def scenario(server: Server) -> None:
        listener = await listen(server)
        os.kill(server.process.pid, signal.SIGTERM)
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(listener.recv(), 10)

    with Server(models, tmp_path / "var") as server:
        asyncio.run(scenario(server))


@asynccontextmanager
async def feed(var: Path) -> AsyncIterator[tuple[Live, Database]]:
    """A feed of a log of its own, and a way to write to that."""
    url = f"sqlite:///{var / 'predictions.db'}"
    engine = connect_log(url)
    migrate.ensure(engine)
    reads = Access(connect_log(url, read_only=True), 1, 5.0)
    database = Database(engine)
    yield Live(reads, Store(var).folder, log_timeout=1.0), database
    reads.close()
    database.close()
    engine.dispose()


async def next_ids(reader: Reader, number: int) -> list[str]:
    """The next ids that a reader gets, of which there are exactly so many."""
    async with asyncio.timeout(30):
        messages = [json.loads(await reader.messages.get()) for _ in range(number)]
    await asyncio.sleep(3 * listeners.PERIOD)
    assert reader.messages.empty()
    return [message["data"]["id"] for message in messages]


def test_a_row_that_is_durable_later_than_those_after_it_is_told_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with feed(tmp_path) as (live, log):
            log.write([[row(), row()]])
            with live.reader() as reader:
                late, early = row(), row()
                log.write([[early]])
                assert await next_ids(reader, 1) == [early["id"]]
                log.write([[late]])
                assert await next_ids(reader, 1) == [late["id"]]
                # A row that is older than this is not sent any more.
                await asyncio.sleep(2.5)
                last = row()
                log.write([[last]])
                assert await next_ids(reader, 1) == [last["id"]]

    asyncio.run(scenario())


def test_more_than_one_look_takes_is_told_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "TOGETHER", 10)

    async def scenario() -> None:
        async with feed(tmp_path) as (live, log):
            with live.reader() as reader, live.reader() as other:
                rows = [row() for _ in range(35)]
                log.write([rows])
                expected = [each["id"] for each in rows]
                assert await next_ids(reader, 35) == expected
                assert await next_ids(other, 35) == expected
            # A reader that comes later gets no earlier messages.
            with live.reader() as reader:
                assert await next_ids(reader, 0) == []

    asyncio.run(scenario())


def test_a_log_that_was_away_is_followed_on(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with feed(tmp_path) as (live, log):
            away, path = tmp_path / "away", tmp_path / "predictions.db"
            with live.reader() as reader:
                log.close()
                path.rename(away)
                path.mkdir()
                await asyncio.sleep(3 * listeners.PERIOD)
                path.rmdir()
                away.rename(path)
                after = row()
                log.write([[after]])
                assert await next_ids(reader, 1) == [after["id"]]

    asyncio.run(scenario())


def test_a_worker_takes_so_many_readers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "READERS", 1)

    async def scenario() -> None:
        async with feed(tmp_path) as (live, _):
            with live.reader(), pytest.raises(CrowdedError), live.reader():
                pass

    asyncio.run(scenario())
