"""Servers as users start them, in processes of their own."""

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.projects import ROOT


class Server:
    """`python -m serve` on a free port of loopback, ready when the context is entered."""

    def __init__(self, root: Path, var: Path, **settings: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.command: tuple[str, ...] = ("-m", "serve")
        self.certificate: Path | None = None
        given = {"ROOT": str(root), "VAR": str(var), "PORT": str(self.port), "LOG_LEVEL": "warning"}
        named = {f"SERVE_{name}": value for name, value in {**given, **settings}.items()}
        self._environment = {**os.environ, "PYTHONPATH": str(ROOT), **named}
        # Not in the project: there may be a .env of whoever runs the tests.
        self._folder = var
        self._log = var / "server.log"
        var.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self.command],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        url, trust = f"{self.url}/health/live", None
        if self.certificate is not None:
            url = url.replace("http:", "https:")
            trust = ssl.create_default_context(cafile=str(self.certificate))
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, urllib.error.URLError):
                urllib.request.urlopen(url, timeout=1, context=trust).close()
                return self
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        self.kill()
        raise AssertionError(f"the server does not answer:\n{self.said()}")

    def said(self) -> str:
        """What it printed."""
        return self._log.read_text(encoding="utf-8")

    def kill(self) -> None:
        """End it and its workers as a loss of power would."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.kill()
