"""Servers that take alerts: HTTP and SMTP, on this machine."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as MessageHandler


class Receiver(ThreadingHTTPServer):
    """Keeps the JSON that is posted to it.

    Attributes:
        posts: what was posted, by request; also what was refused.
        status: what it answers.
        delay: seconds until it answers.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.posts: list[tuple[str, Any]] = []
        self.status = 200
        self.delay = 0.0

    @property
    def url(self) -> str:
        """Its address, with a secret as webhooks have them."""
        return f"127.0.0.1:{self.server_port}"

    @property
    def titles(self) -> list[str]:
        """The titles of what came as Apprise's own JSON."""
        return [body["title"] for _, body in self.posts]


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:  # the name that http.server calls
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.append((self.path, json.loads(body)))
        time.sleep(self.server.delay)
        try:
            self.send_response(self.server.status)
            self.end_headers()
            self.wfile.write(b"ok")
        except OSError:
            # Whoever asked has gone.
            return

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A server that runs."""
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()


class Mailbox(MessageHandler):
    """Keeps mail."""

    def __init__(self) -> None:
        super().__init__()
        self.mails: list[Any] = []

    def handle_message(self, message: Any) -> None:
        """Keep one."""
        self.mails.append(message)


@contextmanager
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    """An SMTP server that runs, and its port."""
    box = Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=closed_port())
    controller.start()
    try:
        yield box, controller.port
    finally:
        controller.stop()


def closed_port() -> int:
    """A port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
