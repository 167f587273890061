"""The folder in which the workers of one server share their metrics."""

import fcntl
import multiprocessing
import os
import shutil
from pathlib import Path
from typing import Final

FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that names the folder to prometheus_client, which reads it when it is imported."""

_locks: list[int] = []


def share_metrics(working_folder: Path) -> None:
    """Name the folder, in a worker of uvicorn; a single process does not need one.

    The workers of a server are children of one process, whose id names the folder. Each holds a
    shared lock on it until it ends, however it ends: a folder without a lock is of a former server.
    """
    if multiprocessing.parent_process() is None or FOLDER in os.environ:
        return
    folder = working_folder / "metrics"
    own = folder / str(os.getppid())
    own.mkdir(parents=True, exist_ok=True)
    for each in folder.iterdir():
        try:
            lock = os.open(each, os.O_RDONLY)
        except FileNotFoundError:
            # Another worker has just removed it.
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        else:
            shutil.rmtree(each, ignore_errors=True) if each != own else _empty(own)
        if each == own:
            fcntl.flock(lock, fcntl.LOCK_SH)
            _locks.append(lock)
        else:
            os.close(lock)
    os.environ[FOLDER] = str(own)


def _empty(folder: Path) -> None:
    for path in folder.glob("*.db"):
        path.unlink(missing_ok=True)
