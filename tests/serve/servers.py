"""Servers as users start them, in processes of their own."""

import contextlib
import functools
import multiprocessing.context
import multiprocessing.forkserver
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

COMMAND = ("-m", "serve")

# Imports take most of the time in which a server starts.
IMPORTED = ["alembic.command", "onnxruntime", "serve.app", "serve.edge.protocol"]
IMPORTED += ["uvicorn.lifespan.on", "uvicorn.loops.auto", "uvicorn.protocols.websockets.auto"]

FORKED = """
import os, runpy, sys

os.setsid()
os.chdir(folder)
os.environ.clear()
os.environ.update(environment)
with open(log, "ab") as stream:
    os.dup2(stream.fileno(), 1)
    os.dup2(stream.fileno(), 2)
sys.argv = ["serve"]
runpy.run_module("serve", run_name="__main__", alter_sys=True)
"""


@functools.cache
def imported() -> multiprocessing.context.ForkServerContext:
    """Forks processes from one that has imported what a server does."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    with contextlib.chdir(ROOT):
        multiprocessing.forkserver.ensure_running()
    return context


class Forked:
    """`python -m serve` in such a forked process, with the methods of `Popen` that are used."""

    def __init__(self, folder: Path, environment: dict[str, str], log: Path) -> None:
        namespace = {"folder": str(folder), "environment": environment, "log": str(log)}
        self._process = imported().Process(target=exec, args=(FORKED, namespace))
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    def poll(self) -> int | None:
        """The exit status of one that has ended."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> None:
        """Wait until it has ended."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(COMMAND, timeout or 0)

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.terminate()


class Server:
    """`python -m serve` on a free port of loopback, ready when the context is entered.

    One that is to have several workers, or is `alone`, is a process that imports everything itself.
    """

    process: "subprocess.Popen[bytes] | Forked"

    def __init__(self, root: Path, var: Path, *, alone: bool = False, **settings: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.command: tuple[str, ...] = COMMAND
        self._alone = alone or "WORKERS" in settings
        self.certificate: Path | None = None
        defaults = {
            "ROOT": str(root),
            "VAR": str(var),
            "PORT": str(self.port),
            "LOG_LEVEL": "warning",
        }
        named = {f"SERVE_{name}": value for name, value in {**defaults, **settings}.items()}
        self._environment = {**os.environ, "PYTHONPATH": str(ROOT), **named}
        # Not in the project: there may be a .env of whoever runs the tests.
        self._folder = var
        self._log = var / "server.log"
        var.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        if self._alone or self.command != COMMAND:
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
        else:
            self.process = Forked(self._folder, self._environment, self._log)
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
        raise AssertionError(f"the server does not answer:\n{self.log_text()}")

    def log_text(self) -> str:
        """All that it printed."""
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
