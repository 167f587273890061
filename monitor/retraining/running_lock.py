"""One run at a time changes the champion; a second one says who is at work."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from monitor.settings import MonitorError, Settings


@contextmanager
def hold(settings: Settings, work: str) -> Iterator[IO[str]]:
    """Hold `var/monitor/lock` for the time of a run.

    Args:
        settings: where it is, and the time.
        work: what is done, such as `retraining 20121231T220000-drift`.

    Returns:
        The open file; a process that inherits it holds the lock until it ends, should this one be
        killed before.

    Raises:
        MonitorError: another run holds it.
    """
    path = settings.folder / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise MonitorError(_running(path)) from None
        sign(file, settings, work, os.getpid())
        yield file


def sign(file: IO[str], settings: Settings, work: str, pid: int) -> None:
    """Write into the lock who holds it, for the message to others."""
    since = f"{settings.clock:%Y-%m-%d %H:%M} UTC"
    file.truncate(0)
    file.write(json.dumps({"pid": pid, "work": work, "since": since}))
    file.flush()


def _running(path: Path) -> str:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError:
        return f"another run has just begun ({path}); wait for it"
    run = f"{holder['work']} has been running since {holder['since']} (pid {holder['pid']})"
    if Path(f"/proc/{holder['pid']}").exists() or not Path("/proc/self").exists():
        return f"{run}; wait for it"
    return f"{run} and was killed; what it had started still ends: try again in a moment"
