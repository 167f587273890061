"""The files of `models/` against `dvc.lock`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # its stubs are one more package

from monitor.health.verdicts import Check
from stages.common.errors import VersionError, few
from stages.common.paths import MODELS
from versions.repository import lock as locks
from versions.repository.lock import LOCK_FILE, Lock
from versions.repository.workspace import digest_or_none

NAME = "models"
REMEDY = "run `dvc checkout`, `dvc pull` or `dvc repro`"

_WRITERS = Path(".dvc/tmp/rwlock")


@dataclass(frozen=True)
class ModelFiles:
    """What `models/` holds, beside what it should.

    Attributes:
        expected: md5 by path, of each file that the server may read.
        actual: the same of what is there; None if a file is missing.
        writer: the DVC command that is writing into `models/` now.
        problem: why `dvc.lock` cannot be read.
    """

    expected: Mapping[str, str]
    actual: Mapping[str, str | None]
    writer: str | None = None
    problem: str | None = None


def look(root: Path, lock: Lock | VersionError) -> ModelFiles:
    """Read every file of `models/` that the lock names; folders of candidates are not served."""
    if isinstance(lock, VersionError):
        return ModelFiles({}, {}, problem=str(lock))
    expected = {
        path: entry.md5
        for path, entry in lock.outs.items()
        if path.startswith(f"{MODELS}/") and not entry.is_folder
    }
    actual = {path: digest_or_none(root / path) for path in expected}
    return ModelFiles(expected, actual, _writer(root / _WRITERS))


def read_lock(root: Path) -> Lock | VersionError:
    """`dvc.lock`, or why it cannot be read."""
    try:
        return locks.read(root / LOCK_FILE)
    except VersionError as error:
        return error


def check(files: ModelFiles) -> Check:
    """Whether every file is there with the bytes of the lock."""
    if files.problem is not None or not files.expected:
        problem = files.problem or f"{LOCK_FILE} names no file of {MODELS}/"
        return Check(NAME, "critical", None, 0, problem, "run `dvc repro`, or check out a revision")
    missing = [path for path, md5 in files.actual.items() if md5 is None]
    different = [
        path
        for path, md5 in files.actual.items()
        if md5 is not None and md5 != files.expected[path]
    ]
    wrong = float(len(missing) + len(different))
    if not wrong:
        return Check(NAME, "ok", 0, 0, f"{len(files.expected)} files have the bytes of {LOCK_FILE}")
    sentence = "; ".join(
        [
            *([f"missing: {few(missing)}"] if missing else []),
            *([f"other bytes than {LOCK_FILE} has: {few(different)}"] if different else []),
        ]
    )
    if files.writer is not None:
        return Check(
            NAME,
            "warning",
            wrong,
            0,
            f"{files.writer} is at work; {sentence}",
            "wait",
            judged=False,
        )
    return Check(NAME, "critical", wrong, 0, sentence, REMEDY)


def _writer(path: Path) -> str | None:
    """The DVC command that writes now: it removes a stage's outputs before it runs the stage."""
    try:
        writers = json.loads(path.read_text(encoding="utf-8")).get("write", {}).values()
        alive = [each["cmd"] for each in writers if each and psutil.pid_exists(each["pid"])]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return str(alive[0]) if alive else None
