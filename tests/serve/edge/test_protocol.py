"""What a connection may send before anybody knows whose it is."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from serve.edge import protocol
from tests.serve.servers import Server

PATIENCE = 0.5


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    body = await Request(scope, receive).body()
    await PlainTextResponse(f"{len(body)} bytes")(scope, receive, send)


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(protocol, "SECONDS", PATIENCE)
    config = uvicorn.Config(
        echo, port=0, http=protocol.Protocol, log_config=None, lifespan="off", timeout_keep_alive=30
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
    found = b""
    while b"bytes" not in found:
        part = connection.recv(65_536)
        assert part, found
        found += part
    return found


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "])
def test_a_head_that_does_not_come_ends_the_connection(port: int, begun: bytes) -> None:
    with connected(port) as connection:
        started = time.monotonic()
        connection.sendall(begun)
        assert ended(connection) == b""
        assert PATIENCE / 2 < time.monotonic() - started < PATIENCE + 5


def test_nor_does_one_that_drips(port: int) -> None:
    with connected(port) as connection:
        # A second request: the first was in time.
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        answer(connection)
        with pytest.raises(OSError, match=r"Broken pipe|reset"):
            for letter in b"GET /" + b"e" * 200:
                connection.sendall(bytes([letter]))
                time.sleep(0.05)


def test_a_connection_that_rests_between_requests_is_kept(port: int) -> None:
    with connected(port) as connection:
        for _ in range(2):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert answer(connection).startswith(b"HTTP/1.1 200")
            time.sleep(2 * PATIENCE)


def test_a_body_may_take_its_time(port: int) -> None:
    with connected(port) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n")
        for _ in range(4):
            time.sleep(PATIENCE / 2)
            connection.sendall(b"x")
        assert b"4 bytes" in answer(connection)


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
                said = b""
            except OSError:
                said = b"closed"
            assert said == b"closed"
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


@pytest.mark.slow
def test_the_server_of_the_command_speaks_it(models: Path, tmp_path: Path) -> None:
    with Server(models, tmp_path) as server, connected(server.port) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
        # What comes with the first byte is not counted.
        time.sleep(0.2)
        connection.sendall(b"x" * (protocol.MOST + 1))
        said = ended(connection)
        assert said.startswith(b"HTTP/1.1 400")
        assert said.endswith(b"the head has more than 65536 bytes")
