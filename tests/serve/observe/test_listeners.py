"""The live feed, over real sockets between real workers."""

import asyncio
import json
import os
import signal
import socket
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from serve.observe import listeners as live
from serve.observe.listeners import CrowdedError, Live
from tests.projects import Project
from tests.serve.servers import Server


@pytest.fixture
def server(reproduced: Path, tmp_path: Path) -> Iterator[Server]:
    with Server(reproduced, tmp_path / "var") as found:
        yield found


def predict(server: Server, path: str = "/predict/short", body: bytes = b"{}") -> Any:
    request = urllib.request.Request(
        f"{server.url}{path}", data=body, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


async def listen(server: Server) -> ClientConnection:
    found = await connect(f"{server.url.replace('http', 'ws')}/live", proxy=None)
    hello = json.loads(await asyncio.wait_for(found.recv(), 10))
    assert hello["type"] == "hello"
    assert set(hello["data"]) == {"revision", "as_of", "models"}
    return found


async def heard(listener: ClientConnection, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(15):
        return [json.loads(await listener.recv()) for _ in range(count)]


def test_every_listener_hears_every_worker(reproduced: Path, tmp_path: Path) -> None:
    folder = tmp_path / "var" / "live"

    async def scenario(server: Server) -> None:
        listeners = [await listen(server) for _ in range(4)]
        assert 1 <= len(list(folder.iterdir())) <= 2
        said = [await asyncio.to_thread(predict, server) for _ in range(40)]
        for listener in listeners:
            messages = await heard(listener, 40)
            assert {message["type"] for message in messages} == {"prediction"}
            found = {message["data"]["id"]: message["data"] for message in messages}
            assert found == {answer["id"]: answer for answer in said}
        many = json.dumps({"horizon": "short", "rows": [{}] * 1000}).encode()
        answers = (await asyncio.to_thread(predict, server, "/batch-predict", many))["predictions"]
        for listener in listeners:
            ids = [message["data"]["id"] for message in await heard(listener, 1000)]
            assert ids == [answer["id"] for answer in answers]
            await listener.close()

    with Server(reproduced, tmp_path / "var", WORKERS="2") as server:
        asyncio.run(scenario(server))
        deadline = time.monotonic() + 30
        while list(folder.iterdir()) and time.monotonic() < deadline:
            time.sleep(0.05)
        # Where nobody listens, nothing is left to send to.
        assert list(folder.iterdir()) == []
        assert "Traceback" not in server.said()


def test_a_change_of_revision_is_told(project: Project, tmp_path: Path) -> None:
    async def scenario(server: Server) -> None:
        listener = await listen(server)
        project.git("commit", "--quiet", "--allow-empty", "--message=Another")
        (message,) = await heard(listener, 1)
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
            messages = await heard(listener, 1000)
            assert messages[-1]["data"]["id"] == answers["predictions"][-1]["id"]
        # It reads at last, and finds that it was dropped in the middle.
        slow.settimeout(30)
        size = 0
        while part := await asyncio.to_thread(slow.recv, 1_000_000):
            size += len(part)
        assert size < 18_000 * 600
        slow.close()
        await asyncio.to_thread(predict, server)
        assert len(await heard(listener, 1)) == 1
        await listener.close()

    asyncio.run(scenario())
    assert "Traceback" not in server.said()


def test_what_a_reader_sends_is_taken_for_nothing(server: Server) -> None:
    async def scenario() -> None:
        listener = await listen(server)
        for content in ("{", b"\x00\xff", "x" * 10_000):
            await listener.send(content)
        await asyncio.to_thread(predict, server)
        assert (await heard(listener, 1))[0]["type"] == "prediction"
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
    reproduced: Path, tmp_path: Path, level: str
) -> None:
    async def scenario(server: Server) -> None:
        url = f"{server.url.replace('http', 'ws')}/live"
        headers = {"X-Other": "hidden-in-header", "X-Request-Id": "of-this-test"}
        query = "?key=hidden-in-query"
        async with connect(url + query, additional_headers=headers, proxy=None) as found:
            await found.recv()

    with Server(reproduced, tmp_path / "var", LOG_LEVEL=level) as server:
        asyncio.run(scenario(server))
        deadline = time.monotonic() + 5
        while '"method":"WS"' not in server.said() and time.monotonic() < deadline:
            time.sleep(0.05)
    assert '"path":"/live"' in server.said()
    assert "hidden" not in server.said()


def test_readers_are_told_when_the_server_stops(server: Server) -> None:
    async def scenario() -> None:
        listener = await listen(server)
        os.kill(server.process.pid, signal.SIGTERM)
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(listener.recv(), 10)

    asyncio.run(scenario())


async def settled() -> None:
    await asyncio.sleep(2 * live.REFRESH)


async def told(reader: live.Reader, number: int) -> list[Any]:
    """What a reader has been told, once there is as much of it."""
    async with asyncio.timeout(30):
        found = [json.loads(await reader.messages.get()) for _ in range(number)]
    await settled()
    assert reader.messages.empty()
    return found


def test_one_feed_hears_another_and_says_what_was_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "BACKLOG", 5000)

    async def scenario(var: Path) -> None:
        one, other = Live(var), Live(var)
        one.start()
        other.start()
        assert not one.heard
        with other.reader() as reader:
            await settled()
            assert one.heard
            assert other.heard
            one.publish("prediction", {"id": "a"}, {"id": "b"})
            assert [message["data"]["id"] for message in await told(reader, 2)] == ["a", "b"]
            # More than the kernel holds at a time.
            one.publish("prediction", *({"id": f"{place:0>1000}"} for place in range(4000)))
            heard = await told(reader, 4000)
            assert [int(message["data"]["id"]) for message in heard] == list(range(4000))
            # More than may wait.
            one.publish("prediction", *({"id": "x"} for _ in range(5001)))
            await settled()
            one.publish("prediction", {"id": "c"})
            lost, last = await told(reader, 2)
            assert lost == {"type": "lost", "data": {"count": 5001}}
            assert last["data"]["id"] == "c"
        await settled()
        assert not one.heard
        one.stop()
        other.stop()

    asyncio.run(scenario(tmp_path / "var"))
    # A path that is too long for the address of a socket works as well.
    asyncio.run(scenario(tmp_path / ("x" * 120)))


def test_the_socket_of_a_worker_that_was_killed_is_removed(tmp_path: Path) -> None:
    async def scenario() -> None:
        folder = tmp_path / live.FOLDER
        folder.mkdir()
        dead = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = folder / "1-dead.sock"
        here = Path.cwd()
        os.chdir(folder)
        dead.bind(path.name)
        os.chdir(here)
        dead.close()
        feed = Live(tmp_path)
        feed.start()
        assert feed.heard
        feed.publish("prediction", {"id": "a"})
        await settled()
        assert not path.exists()
        assert not feed.heard
        feed.stop()

    asyncio.run(scenario())


def test_a_worker_takes_so_many_readers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "READERS", 1)

    async def scenario() -> None:
        feed = Live(tmp_path)
        feed.start()
        with feed.reader(), pytest.raises(CrowdedError), feed.reader():
            pass
        feed.stop()

    asyncio.run(scenario())


def test_listening_costs_nothing_where_nobody_listens(tmp_path: Path) -> None:
    feed = Live(tmp_path)
    count = 20_000
    # Of this thread alone: the machine may be busy.
    start = time.thread_time()
    for _ in range(count):
        assert not feed.heard
    # Microseconds a request; a request takes hundreds.
    assert (time.thread_time() - start) / count * 1e6 < 5
