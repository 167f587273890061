"""How large a head a connection may send before anybody knows whose it is."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

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
    found = b""
    while b"bytes" not in found:
        part = connection.recv(65_536)
        assert part, found
        found += part
    return found


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
def test_the_server_of_the_command_speaks_it(models: Path, tmp_path: Path) -> None:
    with Server(models, tmp_path) as server, connected(server.port) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
        connection.sendall(b"x" * (protocol.MOST + 1))
        said = ended(connection)
        assert said.startswith(b"HTTP/1.1 400")
        assert said.endswith(b"the head has more than 65536 bytes")
