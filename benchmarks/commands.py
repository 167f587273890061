"""Commands that are timed as a user types them, in projects made for it."""

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
    """Wall time of a command in a folder, with what `extra` adds to the environment.

    What earlier commands wrote is on the disk before it starts, so that each pays for its own.
    What DVC keeps for the machine is kept for the folder.

    Raises:
        SystemExit: the command failed; what it printed follows.
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
    taken = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}")
    return taken


def dvc(folder: Path, *arguments: str, **extra: str) -> float:
    """Wall time of a DVC command."""
    return seconds((*DVC, *arguments), folder, **extra)


def git(folder: Path, *arguments: str) -> float:
    """Wall time of a git command; what it commits has an author."""
    return seconds(("git", *IDENTITY, *arguments), folder)


def reproduced(folder: Path) -> Path:
    """A fresh clone of the last commit, with all its outputs and a cache of its own."""
    dvc(cold.clone(folder, lock=True), "repro")
    return folder


def empty(folder: Path) -> Path:
    """A folder in which git and DVC are at home, and nothing else."""
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet")
    dvc(folder, "init", "--quiet")
    return folder


def commit(folder: Path, message: str) -> None:
    """Commit all that git does not ignore, if anything."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--no-verify", "--allow-empty", "--message", message)
