"""What the workers of one server share: a folder for what Prometheus is told."""

import fcntl
import multiprocessing
import os
import shutil
from pathlib import Path
from typing import Final

FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Where prometheus_client keeps the numbers of several processes; it must be set on its import."""

_held: list[int] = []


def share_metrics(working_folder: Path) -> None:
    """Name the folder, in a worker of uvicorn; one process alone needs none.

    The workers of a server are children of one process, whose id names the folder. Each holds a
    shared lock on it until it ends, however it ends: what nobody holds is of a former server.
    """
    if multiprocessing.parent_process() is None or FOLDER in os.environ:
        return
    folder = working_folder / "metrics"
    own = folder / str(os.getppid())
    own.mkdir(parents=True, exist_ok=True)
    for found in folder.iterdir():
        try:
            lock = os.open(found, os.O_RDONLY)
        except FileNotFoundError:
            # Another worker has removed it just now.
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        else:
            _empty(found)
            if found != own:
                shutil.rmtree(found, ignore_errors=True)
        if found == own:
            fcntl.flock(lock, fcntl.LOCK_SH)
            _held.append(lock)
        else:
            os.close(lock)
    os.environ[FOLDER] = str(own)


def _empty(folder: Path) -> None:
    for path in folder.glob("*.db"):
        path.unlink(missing_ok=True)
