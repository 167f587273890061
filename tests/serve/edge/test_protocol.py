"""How large a head a connection may send before its key is known."""

import asyncio
import contextlib
import re
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import psutil  # type: ignore[import-untyped]  # its stubs are one more package
import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from serve.edge import protocol
from tests.serve.servers import Server


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    body = await Request(scope, receive).body()
    await PlainTextResponse(f"{len(body)} bytes")(scope, receive, send)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    config = uvicorn.Config(
        echo, port=0, http=protocol.BoundedProtocol, log_config=None, lifespan="off"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=asyncio.run, args=(server.serve(),))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        yield connection


def ended(connection: socket.socket) -> bytes:
    """All that comes until the server closes."""
    parts = []
    while part := connection.recv(65_536):
        parts.append(part)
    return b"".join(parts)


def answer(connection: socket.socket) -> bytes:
    content = b""
    while b"bytes" not in content:
        part = connection.recv(65_536)
        assert part, content
        content += part
    return content


def test_a_head_may_be_large_but_not_without_end(port: int) -> None:
    with connected(port) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 50_000 + b"\r\n\r\n")
        assert answer(connection).startswith(b"HTTP/1.1 200")
    for endless in (b"x" * 10_000, b"x\r\nY: " * 2_000):
        with connected(port) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
            sent = 0
            try:
                while sent < 50_000_000:
                    connection.sendall(endless)
                    sent += len(endless)
                content = b""
            except OSError:
                content = b"closed"
            assert content == b"closed"
            assert sent < 20_000_000


def test_of_many_small_chunks_a_body_is_made_and_of_endless_trailers_nothing(port: int) -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connected(port) as connection:
        connection.sendall(head + b"8\r\nabcdefgh\r\n" * 50_000 + b"0\r\n\r\n")
        assert b"400000 bytes" in answer(connection)
    with connected(port) as connection, pytest.raises(OSError, match=r"Broken pipe|reset"):
        connection.sendall(head + b"1\r\na\r\n0\r\n")
        for _ in range(5_000):
            connection.sendall(b"X: " + b"x" * 10_000 + b"\r\n")


def test_pipelined_requests_are_answered_in_order(port: int) -> None:
    sizes = [size % 50 * 7 for size in range(3_000)]
    requests = b"".join(
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s" % (size, b"x" * size)
        for size in sizes
    )
    with connected(port) as connection:
        sender = threading.Thread(target=connection.sendall, args=(requests,))
        sender.start()
        content, answers = b"", 0
        while answers < len(sizes):
            part = connection.recv(1_000_000)
            assert part, content
            content += part
            answers = content.count(b" bytes")
        sender.join()
    assert [int(size) for size in re.findall(rb"(\d+) bytes", content)] == sizes


def test_few_pipelined_requests_wait_however_many_come(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    waiting = []
    usual = protocol.BoundedProtocol.on_headers_complete

    def watched(self: protocol.BoundedProtocol) -> None:
        usual(self)
        waiting.append(len(self.pipeline))

    monkeypatch.setattr(protocol.BoundedProtocol, "on_headers_complete", watched)
    with connected(port) as connection:
        connection.sendall(request * 4_000)
        answers = 0
        while answers < 4_000:
            answers += connection.recv(1_000_000).count(b" bytes")
    assert len(waiting) == 4_000
    assert 0 < max(waiting) <= protocol.PIECE / len(request) + 1


def test_a_body_after_pipelined_requests_arrives_whole(port: int) -> None:
    small = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 1_000
    head = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3000000\r\n\r\n"
    with connected(port) as connection:
        sender = threading.Thread(
            target=connection.sendall, args=(small + head + b"x" * 3_000_000,)
        )
        sender.start()
        content = ended(connection)
        sender.join()
    assert content.count(b"\r\n\r\n0 bytes") == 1_000
    assert content.endswith(b"\r\n\r\n3000000 bytes")


def test_slow_heads_keep_nobody_waiting(port: int) -> None:
    with ExitStack() as opened:
        slow = [opened.enter_context(connected(port)) for _ in range(200)]
        for byte in b"GET /":
            for connection in slow:
                connection.sendall(bytes([byte]))
        with connected(port) as connection:
            started = time.monotonic()
            connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert answer(connection).startswith(b"HTTP/1.1 200")
            assert time.monotonic() - started < 5


@pytest.mark.slow
def test_pipelined_requests_without_end_take_no_memory(models: Path, tmp_path: Path) -> None:
    request = b"GET /symbols HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1_000
    with Server(models, tmp_path) as server, connected(server.port) as greedy:
        ask = f"{server.url}/predict/short"
        usual = min(answered(ask) for _ in range(5))
        before = memory(server)
        # Nothing is read.
        greedy.setblocking(False)
        waits = []
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            with contextlib.suppress(BlockingIOError):
                while True:
                    greedy.send(request)
            waits.append(answered(ask))
        assert memory(server) - before < 20_000_000
    # A busy machine answers nobody at once.
    assert statistics.median(waits) < max(0.5, 20 * usual)


def answered(url: str) -> float:
    """Seconds until an answer is there."""
    started = time.monotonic()
    assert httpx2.post(url).status_code == 200
    return time.monotonic() - started


def memory(server: Server) -> int:
    """Bytes that it has in memory."""
    rss: int = psutil.Process(server.process.pid).memory_info().rss
    return rss


@pytest.mark.slow
def test_the_server_of_the_command_speaks_it(models: Path, tmp_path: Path) -> None:
    with Server(models, tmp_path) as server, connected(server.port) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
        connection.sendall(b"x" * (protocol.MOST + 1))
        content = ended(connection)
        assert content.startswith(b"HTTP/1.1 400")
        assert content.endswith(b"the head has more than 65536 bytes")
