"""Narrow DVC repositories, for tests of a remote in which the real pipeline adds nothing."""

import contextlib
import logging
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

import pytest

import stages.common.running
import versions.remote
from stages.common.errors import StageError
from tests.projects import ROOT, Project
from tests.s3 import S3

LARGE = {
    f"data/{number:02}.bin": random.Random(number).randbytes(8_000_000)  # noqa: S311  # no secret
    for number in range(10)
}
"""80 MB: with `--jobs 1` a transfer takes long enough to be cut off in the middle."""

SMALL = {f"data/{number:02}.bin": b"%d" % number * 100 for number in range(4)}

ALONE = {"alone.bin": b"alone"}

PIPELINE = """
stages:
  make:
    cmd: 'true'
    deps: [source]
    outs:
    - data: {persist: true}
    - alone.bin: {persist: true}
"""

GONE = "does not answer: start it (`make s3` for that of this clone), or look at endpointurl (http"
"""How the line goes on where the server of a test does not listen."""


class Lines(logging.Handler):
    """What is logged, line by line."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


class Narrow(Project):
    """A repository of one stage with a folder and a file; its remote is set as in the project."""

    @classmethod
    def make(cls, folder: Path, files: Mapping[str, bytes]) -> Self:
        """Make a repository with these files, and `alone.bin`, in its cache."""
        (folder / ".dvc").mkdir(parents=True)
        for name in (".dvc/config", ".dvc/.gitignore", ".gitignore"):
            shutil.copy2(ROOT / name, folder / name)
        texts = {"source": b"anything", "dvc.yaml": PIPELINE.encode()}
        for name, content in {**files, **ALONE, **texts}.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
        project = cls(folder)
        project.git("init", "--quiet", "--initial-branch=main")
        project.git("config", "user.email", "tests@example.org")
        project.git("config", "user.name", "Tests")
        project.dvc("repro", "--quiet")
        project.git("add", "--all")
        project.git("commit", "--quiet", "--message=Made")
        return project

    def clone(self, folder: Path) -> Self:
        """Another clone on another path, with nothing of DVC's in it."""
        self.git("clone", "--quiet", str(self.folder), str(folder))
        return type(self)(folder)

    def point(self, server: S3, path: str = "cache") -> None:
        """Point the remote at the bucket of a test's server, as `make remote` does."""
        (self.folder / ".dvc" / "config.local").write_text(
            "['remote \"storage\"']\n"
            f"    url = s3://{server.bucket}/{path}\n"
            f"    endpointurl = {server.url}\n",
            encoding="utf-8",
        )

    def remote(self, *arguments: str) -> list[str]:
        """The lines of `python -m versions.remote`; in this process, which imports DVC once."""
        handler = Lines()
        log = stages.common.running.log
        log.addHandler(handler)
        former = log.level
        # Not the attribute: a logger remembers for which levels it is enabled.
        log.setLevel(logging.INFO)
        try:
            with contextlib.chdir(self.folder), pytest.MonkeyPatch.context() as patch:
                patch.setattr(sys, "argv", ["remote", *arguments])
                versions.remote.main()
        except StageError as error:
            handler.lines.append(f"error: {error}")
        finally:
            log.setLevel(former)
            log.removeHandler(handler)
        return handler.lines

    def start(self, name: str, *arguments: str) -> "subprocess.Popen[str]":
        """Start a command of `versions` here as a group of its own, without waiting for it."""
        return subprocess.Popen(
            [sys.executable, "-m", f"versions.{name}", *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def files(self) -> dict[str, bytes]:
        """What is in the working tree of what the stage makes."""
        paths = [self.folder / "alone.bin", *sorted((self.folder / "data").glob("*"))]
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in paths
            if path.is_file()
        }

    def write(self, files: Mapping[str, bytes]) -> None:
        """Have these files in the working tree, and nothing else of what the stage makes."""
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        (self.folder / "alone.bin").unlink(missing_ok=True)
        (self.folder / "data").mkdir()
        for name, content in files.items():
            (self.folder / name).write_bytes(content)

    def cached(self) -> list[Path]:
        """The whole objects in the cache."""
        folder = self.folder / ".dvc" / "cache" / "files" / "md5"
        return [path for path in folder.glob("??/*") if not path.name.startswith(".")]


def wait_for(condition: Callable[[], bool], seconds: float = 300) -> None:
    """Return as soon as a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


def said_within(seconds: float, process: "subprocess.Popen[str]") -> str:
    """The last line of a command that fails in time."""
    printed, _ = process.communicate(timeout=seconds)
    assert process.returncode == 1, printed
    return printed.strip().splitlines()[-1]
