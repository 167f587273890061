"""The commits that have a file, from its md5 alone.

Each distinct `dvc.lock` is searched once, as text: to parse thousands of them would take minutes.
`git log -S` does not serve: it lists only the commits at which an md5 comes or goes, and so omits a
later commit that has the release tag.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from stages.common.errors import VersionError, few
from versions.repository import git, pipeline
from versions.repository.lock import LOCK_FILE

EXPERIMENTS = "refs/exps/"
"""Where DVC keeps its experiments, commits outside all branches."""

_DIGITS = re.compile(r"[0-9a-f]{8,32}(\.dir)?")
_SECTIONS = (b"\n    outs:\n", b"\n    deps:\n", b"\n    params:\n")
_AT_A_TIME = 256


@dataclass(frozen=True)
class Commit:
    """A commit and its names.

    Attributes:
        date: when it was committed, as ISO 8601 with its offset from UTC.
        names: the branches and tags at it, and the experiment that it is.
        experiment: whether it belongs to no branch or tag, only to an experiment.
    """

    id: str
    date: str
    subject: str
    names: tuple[str, ...]
    experiment: bool


@dataclass(frozen=True)
class Sighting:
    """A commit whose `dvc.lock` has an output of some md5, and the paths of those outputs."""

    commit: Commit
    paths: tuple[str, ...]


@dataclass(frozen=True)
class Matches:
    """Every commit that has an md5: those of branches, then experiments, each the newest first."""

    md5: str
    sightings: tuple[Sighting, ...]


class Out(NamedTuple):
    """An output in a `dvc.lock`, and its stage."""

    stage: str
    path: str
    md5: str


def search(digits: str, folder: Path | None = None) -> Matches:
    """Find the commits whose `dvc.lock` has an output of this md5.

    Args:
        digits: the md5, or at least its first eight digits; with or without `.dir`.
        folder: of the repository; the working folder by default.

    Raises:
        VersionError: it is not an md5, no commit has it, or several md5s begin with it.
    """
    asked = digits.lower()
    if not _DIGITS.fullmatch(asked):
        raise VersionError(
            f"an md5 is 32 digits of 0-9 and a-f, at least 8 of them; got {digits!r}"
        )
    ordinary, experiments = _commits(folder)
    commits = [*ordinary, *experiments]
    locks = git.identify([f"{commit}:{LOCK_FILE}" for commit in commits], folder)
    outs_of = _search(list(dict.fromkeys(filter(None, locks))), asked.encode(), folder)
    outs_at = _present(
        {
            commit: outs_of[lock]
            for commit, lock in zip(commits, locks, strict=True)
            if lock is not None and lock in outs_of
        },
        folder,
    )
    md5s = sorted({out.md5 for outs in outs_at.values() for out in outs})
    if not md5s:
        raise VersionError(_unknown(digits, len(commits), folder))
    if len(md5s) > 1:
        raise VersionError(f"{len(md5s)} md5s begin with {digits}: {few(md5s)}; give more digits")
    described = describe(list(outs_at), folder, experiments=set(experiments))
    return Matches(
        md5s[0],
        tuple(
            Sighting(described[commit], tuple(out.path for out in outs))
            for commit, outs in outs_at.items()
        ),
    )


def describe(
    commits: Sequence[str], folder: Path | None = None, *, experiments: set[str] | None = None
) -> dict[str, Commit]:
    """Date, subject and names of commits."""
    listed = git.git(
        "log",
        "--no-walk=unsorted",
        "--decorate-refs=refs/",
        "--format=%H%x00%cI%x00%s%x00%D",
        "--stdin",
        folder=folder,
        stdin="\n".join(commits),
    )
    described = {}
    for line in filter(None, listed.split("\n")):
        commit, day, subject, refs = line.split("\0")
        names = tuple(_name(ref) for ref in refs.split(", ") if ref and not ref.endswith("/HEAD"))
        described[commit] = Commit(commit, day, subject, names, commit in (experiments or ()))
    return described


def _name(ref: str) -> str:
    short = ref.removeprefix("HEAD -> ").removeprefix("tag: ")
    if short.startswith(EXPERIMENTS):
        return f"experiment {short.rpartition('/')[2]}"
    return re.sub(r"^refs/(heads|tags|remotes)/", "", short)


def _commits(folder: Path | None) -> tuple[list[str], list[str]]:
    """The commits of branches, tags and HEAD, and those of experiments alone; newest first."""
    ordinary = git.git(
        "rev-list", f"--exclude={EXPERIMENTS}*", "--all", "HEAD", folder=folder
    ).split()
    known = set(ordinary)
    every = git.git("rev-list", "--all", folder=folder).split()
    return ordinary, [commit for commit in every if commit not in known]


def _search(locks: Sequence[str], digits: bytes, folder: Path | None) -> dict[str, list[Out]]:
    """The outputs of this md5 in each lock that has any."""
    outs_of = {}
    for start in range(0, len(locks), _AT_A_TIME):
        some = locks[start : start + _AT_A_TIME]
        for lock, text in zip(some, git.blobs(some, folder), strict=True):
            outs = outputs(text, digits)
            if outs:
                outs_of[lock] = outs
    return outs_of


def _present(outs_at: Mapping[str, list[Out]], folder: Path | None) -> dict[str, list[Out]]:
    """Leave out what the pipeline of a commit no longer has: DVC never shortens a lock."""
    names = (pipeline.PIPELINE_FILE, pipeline.PARAMS_FILE)
    files = git.identify([f"{commit}:{name}" for commit in outs_at for name in names], folder)
    known = list(dict.fromkeys(filter(None, files)))
    parsed: dict[str | None, Mapping[str, Any]] = {None: {}}
    parsed |= zip(known, map(pipeline.parse, git.blobs(known, folder)), strict=True)
    present = {}
    for commit, *both in zip(outs_at, files[::2], files[1::2], strict=True):
        has = pipeline.names(*(parsed[file] for file in both))
        outs = [out for out in outs_at[commit] if has(out.stage)]
        if outs:
            present[commit] = outs
    return present


def outputs(text: bytes, digits: bytes) -> list[Out]:
    """The outputs whose md5 begins with some digits, in the text of a `dvc.lock` by DVC."""
    outs = []
    digits = re.escape(digits)
    for match in re.finditer(rb"\n      md5: '?(" + digits + rb"[0-9a-f]*(?:\.dir)?)'?\n", text):
        section = max(_SECTIONS, key=lambda mark: text.rfind(mark, 0, match.start()))
        if section == _SECTIONS[0]:
            begin = text.rfind(b"- path: ", 0, match.start())
            line = text[begin : text.index(b"\n", begin)]
            path = yaml.safe_load(line)[0]["path"]
            outs.append(Out(_stage(text, begin), path, match[1].decode()))
    return outs


def _stage(text: bytes, at: int) -> str:
    """The stage whose entry holds a position of the text."""
    begin = at
    while (begin := text.rfind(b"\n  ", 0, begin)) >= 0:
        line = text[begin + 3 : text.index(b"\n", begin + 1)]
        if not line.startswith(b" "):
            (name,) = yaml.safe_load(line)
            return str(name)
    return ""


def _unknown(digits: str, commits: int, folder: Path | None) -> str:
    shallow = git.git("rev-parse", "--is-shallow-repository", folder=folder) == "true"
    more = "git fetch --unshallow --tags" if shallow else "git fetch --tags"
    return (
        f"none of the {commits:,} commits here has a dvc.lock with an output of md5 {digits}; "
        f"`{more}` brings those of others"
    )
