"""The real server of a sandbox, and the requests that are made to it."""

import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from monitor.settings import MonitorError

STARTS = 120.0
"""Seconds in which the server has to answer for the first time, or to follow a commit."""

BETWEEN = 0.1
"""Seconds between two requests of those that go on all the time."""


@dataclass
class LiveServer:
    """`python -m serve` on a free port, as a context.

    Attributes:
        folder: of the project.
        environment: its variables.
        requests: how many forecasts were requested.
        lost: those that were not answered, in words.
    """

    folder: Path
    environment: Mapping[str, str]
    requests: int = 0
    lost: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        log = self.folder / "var" / "server.log"
        log.parent.mkdir(exist_ok=True)
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "serve"],
                cwd=self.folder,
                env={
                    **self.environment,
                    "SERVE_PORT": str(self.port),
                    "SERVE_LOG_LEVEL": "warning",
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            self._until(lambda: self._get("/health/live") is not None, f"does not answer: {log}")
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def follows(self, commit: str, as_of: date) -> None:
        """Wait until it serves a commit and the bars up to a session.

        Raises:
            MonitorError: it does not.
        """

        def reached() -> bool:
            version = self._get("/version") or {}
            same = str(version.get("revision", "")).startswith(commit[:7])
            return same and str(version.get("as_of", "")) >= str(as_of)

        self._until(reached, f"does not follow {commit[:7]} up to {as_of}")

    def forecast(self, horizon: str, symbol: str, day: date) -> dict[str, Any] | None:
        """Ask for the forecast from the bar of a day; None if it was not answered."""
        body = json.dumps({"symbol": symbol, "as_of": str(day)})
        try:
            status, answer = self._ask("POST", f"/predict/{horizon}", body)
        except (OSError, http.client.HTTPException) as error:
            status, answer = 0, repr(error).encode()
        with self._lock:
            self.requests += 1
            if status != http.client.OK:
                self.lost.append(f"{symbol} {day}: {status} {answer[:200].decode()}")
                return None
        return dict(json.loads(answer))

    @contextmanager
    def asking(self, horizon: str, symbol: str, day: date) -> Iterator[None]:
        """Ask for one forecast again and again meanwhile, as users do."""
        over = threading.Event()

        def ask() -> None:
            while not over.wait(BETWEEN):
                self.forecast(horizon, symbol, day)

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _until(self, reached: Any, problem: str) -> None:
        deadline = time.monotonic() + STARTS
        while not reached():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise MonitorError(f"the server {problem}")
            time.sleep(0.05)

    def _get(self, path: str) -> dict[str, Any] | None:
        try:
            status, answer = self._ask("GET", path)
        except (OSError, http.client.HTTPException):
            return None
        return dict(json.loads(answer)) if status == http.client.OK else None

    def _ask(self, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()
