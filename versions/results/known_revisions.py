"""The revisions whose results can be compared: workspace, branches, tags, experiments, commits."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from stages.common.errors import VersionError
from versions.repository import git
from versions.repository.lock import LOCK_FILE
from versions.repository.pipeline import PARAMS_FILE

WORKSPACE: Final = "workspace"
"""The working tree, as DVC calls it."""

COMMITS: Final = 300
"""Commits that are listed, the newest first; any other can be named by its hash."""

_EXPERIMENT = re.compile(r"refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/(?P<name>[^/]+)")
_TYPED = re.compile(r"\w[\w./@~^+-]*")
"""The names that git is asked for. For a name with braces it would search all messages."""

_FORMAT = (
    "%(if)%(*objectname)%(then)%(*objectname)%(else)%(objectname)%(end)%00%(refname)%00"
    "%(if)%(*committerdate)%(then)%(*committerdate:iso-strict)%(else)"
    "%(committerdate:iso-strict)%(end)%00%(contents:subject)"
)

Kind = Literal["workspace", "branch", "tag", "experiment", "commit"]


@dataclass(frozen=True)
class Revision:
    """A revision that has results, or may have them.

    Attributes:
        name: by which `commit_of` finds it.
        kind: what it is.
        commit: its hash; empty for the workspace.
        date: when it was committed, as ISO 8601 with its offset from UTC.
        subject: the first line of its message; of an annotated tag, that of the tag.
        base: the commit that an experiment began from.
    """

    name: str
    kind: Kind
    commit: str
    date: str
    subject: str
    base: str = ""


def state(folder: Path | None = None) -> str:
    """A text that changes whenever a ref does, or another commit is checked out.

    Raises:
        VersionError: git is missing, or the folder is not in a repository.
    """
    refs = git.git("for-each-ref", "--format=%(objectname) %(refname)", folder=folder)
    return f"{git.git('rev-parse', '--verify', 'HEAD', folder=folder)}\n{refs}"


def listed(folder: Path | None = None) -> list[Revision]:
    """The workspace, branches, tags, experiments, then the newest commits that changed results.

    An experiment is named by its hash where another one, a branch or a tag has the same name.

    Raises:
        VersionError: git is missing, or the folder is not in a repository.
    """
    patterns = ("refs/heads", "refs/tags", "refs/exps")
    lines = git.git("for-each-ref", f"--format={_FORMAT}", *patterns, folder=folder).split("\n")
    named = [each for line in filter(None, lines) if (each := _named(*line.split("\0")))]
    order = ("branch", "tag", "experiment")
    named.sort(key=lambda each: order.index(each.kind))
    counts = Counter(each.name for each in named)
    unique = [_unique(each, counts) for each in named]
    return [Revision(WORKSPACE, "workspace", "", "", ""), *unique, *_commits(folder)]


def _named(commit: str, ref: str, date: str, subject: str) -> Revision | None:
    if ref.startswith("refs/heads/"):
        return Revision(ref.removeprefix("refs/heads/"), "branch", commit, date, subject)
    if ref.startswith("refs/tags/"):
        return Revision(ref.removeprefix("refs/tags/"), "tag", commit, date, subject)
    if match := _EXPERIMENT.fullmatch(ref):
        base = "".join(ref.split("/")[2:4])
        return Revision(match["name"], "experiment", commit, date, subject, base)
    # Others below refs/exps, such as that of the queue, are DVC's own.
    return None


def _unique(revision: Revision, counts: Counter[str]) -> Revision:
    ambiguous = counts[revision.name] > 1 or revision.name == WORKSPACE
    if revision.kind != "experiment" or not ambiguous:
        return revision
    subject = f"{revision.name}: {revision.subject}"
    return replace(revision, name=revision.commit[:10], subject=subject)


def _commits(folder: Path | None) -> Iterator[Revision]:
    """The newest commits of all branches that changed the lock or the params."""
    log = ("log", "--branches", "HEAD", f"--max-count={COMMITS}", "--format=%H%x00%cI%x00%s")
    lines = git.git(*log, "--", str(LOCK_FILE), str(PARAMS_FILE), folder=folder).split("\n")
    for line in filter(None, lines):
        commit, date, subject = line.split("\0")
        yield Revision(commit[:10], "commit", commit, date, subject)


def commit_of(name: str, known: Sequence[Revision], folder: Path | None = None) -> str:
    """The commit of a revision; empty for the workspace.

    Args:
        name: of a known revision, or what git takes for a commit; no search of messages.
        known: what `listed` gave.

    Raises:
        VersionError: nothing has that name.
    """
    for revision in known:
        if revision.name == name:
            return revision.commit
    if not _TYPED.fullmatch(name):
        raise VersionError(f"git knows no revision {name!r}")
    return git.commit(name, folder)
