"""Several commands of this project that live and end together."""

import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import IO

from monitor.settings import MonitorError

PATIENCE = 90.0
"""Seconds in which every command has to end: a server answers what was asked, and a monitor waits
for what it has started."""


def run(commands: Mapping[str, Sequence[str]], out: IO[str] = sys.stdout) -> None:
    """Run commands until one ends or a signal comes, and then end all of them.

    Args:
        commands: the words of each, by its name, which precedes its lines.
        out: where their lines go.

    Raises:
        MonitorError: one ended by itself.
    """
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    children = {name: _start(words) for name, words in commands.items()}
    width = max(map(len, children))
    readers = [
        threading.Thread(target=_copy, args=(child, f"{name:{width}} | ", out))
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
            child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
    for thread in (*readers, *waiting):
        thread.join()
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
        # Ctrl-C reaches this process alone, which ends each of them once.
        start_new_session=True,
    )


def _watch(child: "subprocess.Popen[str]", over: threading.Event) -> None:
    child.wait()
    over.set()


def _copy(child: "subprocess.Popen[str]", label: str, out: IO[str]) -> None:
    for line in child.stdout or ():
        out.write(f"{label}{line}")
        out.flush()
