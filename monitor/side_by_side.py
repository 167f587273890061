"""Runs several commands of this project side by side, and ends them together."""

import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO

from monitor.settings import MonitorError

GRACE = 90.0
"""Seconds in which every command has to end: a server answers what was asked, and a monitor waits
for what it has started."""

LOG = Path("log", "up.log")
"""Where their lines are kept, within `var/`."""

_BYTES = 10_000_000
_FILES = 5


class _LogFile(RotatingFileHandler):
    """The file of all lines, each after its time in UTC; the oldest go."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        super().__init__(path, maxBytes=_BYTES, backupCount=_FILES - 1, encoding="utf-8")
        stamped = logging.Formatter("%(asctime)s.%(msecs)03dZ %(message)s", "%Y-%m-%dT%H:%M:%S")
        stamped.converter = time.gmtime
        self.setFormatter(stamped)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # a name of logging
        """A full disk must not end what runs."""


def run(
    commands: Mapping[str, Sequence[str]], out: IO[str] = sys.stdout, log_file: Path | None = None
) -> None:
    """Run commands until one ends or a signal comes, and then end all of them.

    Args:
        commands: the words of each, by its name, which precedes its lines.
        out: where their lines go.
        log_file: a file that gets them too; it and four older ones have 10 MB each.

    Raises:
        MonitorError: one ended by itself.
    """
    over = threading.Event()
    handler = _LogFile(log_file) if log_file else logging.NullHandler()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    children = {name: _start(words) for name, words in commands.items()}
    width = max(map(len, children))
    readers = [
        threading.Thread(target=_copy, args=(child, f"{name:{width}} | ", out, handler))
        for name, child in children.items()
    ]
    waiting = [threading.Thread(target=_watch, args=(child, over)) for child in children.values()]
    for thread in (*readers, *waiting):
        thread.start()
    over.wait()
    ended = {name: child.poll() for name, child in children.items()}
    for child in children.values():
        child.terminate()
    for child in children.values():
        try:
            child.wait(GRACE)
        except subprocess.TimeoutExpired:
            child.kill()
    for thread in (*readers, *waiting):
        thread.join()
    handler.close()
    for name, status in ended.items():
        if status is not None:
            raise MonitorError(f"{name} ended with exit status {status}, and all others with it")


def _start(words: Sequence[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(  # noqa: S603  # no shell
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        # Ctrl-C reaches only this process, which ends each of them once.
        start_new_session=True,
    )


def _watch(child: "subprocess.Popen[str]", over: threading.Event) -> None:
    child.wait()
    over.set()


def _copy(
    child: "subprocess.Popen[str]", label: str, out: IO[str], handler: logging.Handler
) -> None:
    assert child.stdout is not None  # noqa: S101  # it is a pipe
    with child.stdout as lines:
        for line in lines:
            out.write(f"{label}{line}")
            out.flush()
            handler.handle(logging.makeLogRecord({"msg": f"{label}{line.rstrip()}"}))
