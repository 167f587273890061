"""Runs a command in a process of its own, and measures its time and its memory."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.panel import ROOT

LAUNCHER = Path(__file__).with_name("launcher.py")

START = 120.0
"""Seconds within which a server must answer."""


@dataclass(frozen=True)
class Usage:
    """The time and memory of a process.

    Attributes:
        seconds: wall time, start of the interpreter included.
        peak: largest resident set, in bytes.
        output: of both streams.
    """

    seconds: float
    peak: int
    output: str


def environment(**extra: str) -> dict[str, str]:
    """The environment of a benchmarked process: this Python first, bytecode written."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return {**inherited, "PATH": path, "DVC_NO_ANALYTICS": "true", **extra}


def python(arguments: Sequence[str], folder: Path) -> Usage:
    """Run Python with the project's modules, in a project's folder.

    Raises:
        SystemExit: the command failed; its output follows.
    """
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(LAUNCHER), sys.executable, *arguments],
        cwd=folder,
        env=environment(PYTHONPATH=str(ROOT)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"python {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
    usage = json.loads(done.stdout)
    return Usage(usage["seconds"], usage["peak"], done.stderr)


def free_port() -> int:
    """A port of loopback on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(
    module: str,
    port_setting: str,
    path: str,
    *arguments: str,
    folder: Path | None = None,
    **settings: str,
) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """A server on a free port of loopback, once it answers.

    Args:
        module: as in `python -m module`.
        port_setting: the variable that names its port.
        path: what answers once it is ready.
        arguments: of the module.
        folder: in which it runs; the current one by default.
        settings: more variables; SERVE_VAR names a folder, which gets its log.

    Returns:
        The process and its port.

    Raises:
        SystemExit: it does not answer.
    """
    port = free_port()
    log = Path(settings["SERVE_VAR"]) / f"{module}.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=folder,
            env=environment(**{"PYTHONPATH": str(ROOT), port_setting: str(port), **settings}),
            stdout=stream,
            stderr=stream,
        )
    try:
        deadline = time.monotonic() + START
        while process.poll() is None and time.monotonic() < deadline:
            with suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2).close()  # ours
                break
            time.sleep(0.1)
        else:
            raise SystemExit(f"{module} does not answer:\n{log.read_text(encoding='utf-8')}")
        yield process, port
    finally:
        process.terminate()
        process.wait(30)
