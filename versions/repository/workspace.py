"""The lineage of a file in the working tree or at a revision, and how far the two differ."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Literal

from stages.common.errors import VersionError
from versions.repository import commits, git, lock
from versions.repository.commits import Commit
from versions.repository.lock import LOCK_FILE, Entry
from versions.repository.trace import Lineage, trace

State = Literal["same", "different", "missing"]

_md5 = partial(hashlib.md5, usedforsecurity=False)

IGNORE_FILE = Path(".dvcignore")


@dataclass(frozen=True)
class Workspace:
    """How far the working tree is from the commit.

    Attributes:
        lock_changed: whether its `dvc.lock` differs from that of the commit.
        lineage_changed: whether the lineage of the file differs too.
        changes: other paths that are not committed.
        at_hand: the state of each output beside its md5 in the lock, by path.
    """

    lock_changed: bool
    lineage_changed: bool
    changes: tuple[str, ...]
    at_hand: Mapping[str, State]


def here(path: str) -> tuple[Commit, Lineage, Workspace]:
    """The lineage of a file as the `dvc.lock` of the working tree has it.

    Raises:
        VersionError: there is no commit or no lock, or the lock has no such path.
    """
    head = git.commit()
    current = lock.read()
    same = git.content(head, LOCK_FILE) == LOCK_FILE.read_bytes()
    if same:
        # Params and pipeline of the working tree may be ahead of those that made the lock.
        current = lock.at(head)
    lineage = trace(current, path)
    states = {entry.path: state(entry) for entry in lineage.outputs}
    inside = [entry for entry in lineage.outputs if path.startswith(f"{entry.path}/")]
    if inside and states[inside[0].path] == "same" and not Path(path).exists():
        raise VersionError(f"{inside[0].path} has no {path}, with the bytes that dvc.lock has")
    changes = tuple(name for name in git.changes() if name != str(LOCK_FILE))
    workspace = Workspace(not same, not same and not _committed(lineage), changes, states)
    return commits.describe([head])[head], lineage, workspace


def _committed(lineage: Lineage) -> bool:
    """Whether the lock of the commit gives the same lineage."""
    try:
        return trace(lock.at("HEAD"), lineage.path) == lineage
    except VersionError:
        return False


def at(path: str, revision: str) -> tuple[Commit, Lineage]:
    """The lineage of a file at a revision.

    Raises:
        VersionError: there is no such revision, it has no lock, or the lock has no such path.
    """
    commit = git.commit(revision)
    lineage = trace(lock.at(revision), path, f"{LOCK_FILE} of {revision}")
    return commits.describe([commit])[commit], lineage


def state(entry: Entry, root: Path = Path()) -> State:
    """Whether a file or folder has the md5 that a lock has for it."""
    path = root / entry.path
    if not path.exists():
        return "missing"
    file = root / IGNORE_FILE
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    # Only names: patterns of whole paths are DVC's own to read.
    ignored = [line.rstrip("/") for line in lines if line and not line.startswith("#")]
    return "same" if digest(path, ignored) == entry.md5 else "different"


def digest(path: Path, ignored: Sequence[str] = ()) -> str:
    """The md5 of a file; for a folder, as in DVC, that of the list of its files, with `.dir`.

    Args:
        ignored: patterns of names to leave out.
    """
    if not path.is_dir():
        with path.open("rb") as file:
            return hashlib.file_digest(file, _md5).hexdigest()
    files = [
        {"md5": digest(file), "relpath": file.relative_to(path).as_posix()}
        for file in path.rglob("*")
        if file.is_file()
        and not any(
            fnmatchcase(part, pattern)
            for part in file.relative_to(path).parts
            for pattern in ignored
        )
    ]
    listed = json.dumps(sorted(files, key=lambda entry: entry["relpath"]), sort_keys=True)
    return f"{_md5(listed.encode()).hexdigest()}.dir"


def digest_or_none(path: Path) -> str | None:
    """The md5 of a file; None if it is missing or cannot be read."""
    try:
        return digest(path)
    except OSError:
        return None
