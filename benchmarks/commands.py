"""Commands as a user types them, timed in projects made for this."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import cold
from benchmarks.processes import environment

DVC = (sys.executable, "-m", "dvc")

IDENTITY = ("-c", "user.name=Benchmarks", "-c", "user.email=benchmarks@example.org")


def seconds(command: Sequence[str], folder: Path, **extra: str) -> float:
    """Wall time of a command in a folder; `extra` adds to its environment.

    All earlier writes are flushed to the disk first, so that a command pays for its own writes
    only. The folder has a site cache of DVC of its own.

    Raises:
        SystemExit: the command failed; its output follows.
    """
    os.sync()
    site = {"DVC_SITE_CACHE_DIR": str(folder.with_name(f"{folder.name}.site"))}
    start = time.perf_counter()
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(**{**site, **extra}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    elapsed = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}")
    return elapsed


def dvc(folder: Path, *arguments: str, **extra: str) -> float:
    """Wall time of a DVC command."""
    return seconds((*DVC, *arguments), folder, **extra)


def git(folder: Path, *arguments: str) -> float:
    """Wall time of a git command; its commits have an author."""
    return seconds(("git", *IDENTITY, *arguments), folder)


def reproduced(folder: Path) -> Path:
    """A fresh clone of the last commit, with all its outputs and a cache of its own."""
    dvc(cold.clone(folder, lock=True), "repro")
    return folder


def empty(folder: Path) -> Path:
    """A folder in which git and DVC are initialised, otherwise empty."""
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet")
    dvc(folder, "init", "--quiet")
    return folder


def commit(folder: Path, message: str) -> None:
    """Commit all that git does not ignore, or an empty commit."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--no-verify", "--allow-empty", "--message", message)
