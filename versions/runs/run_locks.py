"""One run at a time: the lock of the runs, and whether DVC runs in a terminal."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from stages.common import processes
from stages.common.errors import StageError
from stages.common.paths import RUNS

BUSY_FILE = Path(".dvc/tmp/rwlock")
"""The file in which DVC notes which process works on which outputs."""


class RunningError(StageError):
    """Something else is running the pipeline; the message says who, what, and since when."""


@contextmanager
def lock(runs: Path = RUNS) -> Iterator[IO[str]]:
    """Hold the lock of all runs; a process that inherits the file keeps it until it ends.

    Raises:
        RunningError: another run holds it.
    """
    runs.mkdir(parents=True, exist_ok=True)
    with (runs / "lock").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RunningError("another run has just begun, or is ending; wait for it") from None
        yield file


def busy_dvc(folder: Path | None = None) -> str | None:
    """The command and process of a DVC that works on the outputs of a project; None without one."""
    try:
        content = json.loads(((folder or Path()) / BUSY_FILE).read_text(encoding="utf-8"))
        for entry in content["write"].values():
            process = processes.process(int(entry["pid"]))
            # The number of a process that was killed may be that of another by now.
            if process is not None and process.state not in "ZX" and "dvc" in process.programs:
                return f"`{entry['cmd']}` (process {entry['pid']})"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return None
