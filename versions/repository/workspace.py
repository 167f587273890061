"""The lineage of a file as it is at hand, or at a revision, with the commit that it belongs to."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stages.common.errors import VersionError
from versions.repository import at_hand, commits, git, lock
from versions.repository.at_hand import State
from versions.repository.commits import Commit
from versions.repository.lock import LOCK_FILE
from versions.repository.trace import Lineage, trace


@dataclass(frozen=True)
class Workspace:
    """How far the working tree is from the commit.

    Attributes:
        lock_changed: whether its `dvc.lock` is another than that of the commit.
        lineage_changed: whether that touches what is asked for.
        changes: what else is not committed.
        at_hand: whether each output is there with the md5 of the lock.
    """

    lock_changed: bool
    lineage_changed: bool
    changes: tuple[str, ...]
    at_hand: Mapping[str, State]


def here(path: str) -> tuple[Commit, Lineage, Workspace]:
    """The lineage of a file as the `dvc.lock` of the working tree has it.

    Raises:
        VersionError: there is no commit or no lock, or the lock knows no such path.
    """
    head = git.commit()
    held = lock.read()
    same = git.content(head, LOCK_FILE) == LOCK_FILE.read_bytes()
    if same:
        # Params and pipeline of the working tree may be ahead of what the lock was made by.
        held = lock.at(head)
    found = trace(held, path)
    states = {entry.path: at_hand.state(entry) for entry in found.entries}
    inside = [entry for entry in found.entries if path.startswith(f"{entry.path}/")]
    if inside and states[inside[0].path] == "same" and not Path(path).exists():
        raise VersionError(f"{inside[0].path} is at hand and has no {path}")
    changes = tuple(name for name in git.changes() if name != str(LOCK_FILE))
    workspace = Workspace(not same, not same and not _committed(found), changes, states)
    return commits.describe([head])[head], found, workspace


def _committed(found: Lineage) -> bool:
    """Whether the lock of the commit says the same of where a file comes from."""
    try:
        return trace(lock.at("HEAD"), found.path) == found
    except VersionError:
        return False


def at(path: str, revision: str) -> tuple[Commit, Lineage]:
    """The lineage of a file at a revision.

    Raises:
        VersionError: there is no such revision, it has no lock, or the lock knows no such path.
    """
    commit = git.commit(revision)
    found = trace(lock.at(revision), path, f"{LOCK_FILE} of {revision}")
    return commits.describe([commit])[commit], found
