"""The commits that have a file, from its md5 alone.

Each distinct `dvc.lock` is searched once, as text, and only stages that name the md5 are parsed:
parsing thousands of locks would take minutes. `git log -S` does not do: it lists only the commits
that add or remove an md5, and omits a later one, which may have the release tag.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from stages.common.errors import VersionError, few
from versions.repository import git, lock, pipeline
from versions.repository.lock import LOCK_FILE, Entry, Stage

EXPERIMENTS = "refs/exps/"
"""Where DVC keeps its experiments, commits outside all branches."""

_RUNNING = f"{EXPERIMENTS}exec/"
"""Where DVC notes what it is running. These are not names that people gave."""

_BRANCHES = (f"--exclude={EXPERIMENTS}*", "--all", "HEAD")


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


def search(digits: str, folder: Path | None = None) -> Matches:
    """Find the commits whose `dvc.lock` has an output of this md5.

    Args:
        digits: the md5, or at least its first eight digits; with or without `.dir`.

    Raises:
        VersionError: it is not an md5, no commit has it, or several md5s begin with it.
    """
    prefix = digits.lower()
    if not re.fullmatch(r"[0-9a-f]{8,32}(\.dir)?", prefix):
        raise VersionError(
            f"an md5 is 32 digits of 0-9 and a-f, at least 8 of them; got {digits!r}"
        )
    ordinary = git.git("rev-list", *_BRANCHES, folder=folder).split()
    experiments = git.git("rev-list", "--all", "--not", *_BRANCHES, folder=folder).split()
    outs_at = dict(_outs([*ordinary, *experiments], prefix, folder))
    md5s = sorted({out.md5 for outs in outs_at.values() for out in outs})
    if not md5s:
        shallow = git.git("rev-parse", "--is-shallow-repository", folder=folder) == "true"
        raise VersionError(
            f"none of the {len(ordinary) + len(experiments):,} commits here has a {LOCK_FILE} with "
            f"an output of md5 {digits}; `git fetch {'--unshallow ' * shallow}--tags` brings those "
            "of others"
        )
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
    commits: Sequence[str], folder: Path | None = None, *, experiments: Collection[str] = ()
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
        named = (ref for ref in refs.split(", ") if ref and not ref.endswith("/HEAD"))
        names = tuple(_name(ref) for ref in named if not ref.startswith(_RUNNING))
        described[commit] = Commit(commit, day, subject, names, commit in experiments)
    return described


def _name(ref: str) -> str:
    short = ref.removeprefix("HEAD -> ").removeprefix("tag: ")
    if short.startswith(EXPERIMENTS):
        return f"experiment {short.rpartition('/')[2]}"
    return re.sub(r"^refs/(heads|tags|remotes)/", "", short)


def _outs(
    commits: Sequence[str], digits: str, folder: Path | None
) -> Iterator[tuple[str, list[Entry]]]:
    """The commits that have outputs whose md5 begins with some digits, each with those outputs.

    A stage that the pipeline of a commit no longer has does not count: DVC never shortens a lock.
    """

    def ids(path: Path, commits: Sequence[str]) -> list[str | None]:
        return git.identify([f"{commit}:{path}" for commit in commits], folder)

    def texts(files: Sequence[str | None]) -> Iterator[tuple[str, bytes]]:
        return git.blobs(list(dict.fromkeys(filter(None, files))), folder)

    locks = dict(zip(commits, ids(LOCK_FILE, commits), strict=True))
    stages_of: dict[str | None, list[Stage]] = {
        file: _stages(text, digits.encode())
        for file, text in texts(list(locks.values()))
        if digits.encode() in text
    }
    having = [commit for commit, file in locks.items() if file in stages_of]
    files = [ids(path, having) for path in (pipeline.PIPELINE_FILE, pipeline.PARAMS_FILE)]
    parsed: dict[str | None, Mapping[str, Any]] = {None: {}}
    parsed |= {file: pipeline.parse(text) for file, text in texts([*files[0], *files[1]])}
    for commit, *both in zip(having, *files, strict=True):
        has = pipeline.names(*(parsed[file] for file in both))
        stages = [stage for stage in stages_of[locks[commit]] if has(stage.name)]
        outs = [out for stage in stages for out in stage.outs if out.md5.startswith(digits)]
        if outs:
            yield commit, outs


def _stages(text: bytes, digits: bytes) -> list[Stage]:
    """The stages in the text of a `dvc.lock` that may have an output of this md5."""
    blocks = re.split(rb"\n(?=  \S)", text)
    return [stage for block in blocks if digits in block for stage in _parsed(block)]


@cache
def _parsed(block: bytes) -> Sequence[Stage]:
    try:
        return list(lock.parse(b"stages:\n" + block).stages.values())
    except VersionError:
        return ()
