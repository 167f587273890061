"""`dvc.lock` as typed objects: the command, params and files of each stage, with their md5s.

Reads the YAML alone, without DVC, so that a server can afford it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from stages.common.errors import VersionError
from versions.repository import git, pipeline

LOCK_FILE = Path("dvc.lock")

_PIPELINE = (pipeline.PIPELINE_FILE, pipeline.PARAMS_FILE)


@dataclass(frozen=True)
class Entry:
    """A file or folder that a stage reads or writes.

    Attributes:
        path: relative to the root of the project.
        md5: of its bytes; of the list of its files, with `.dir` at the end, for a folder.
        size: bytes.
        files: their number, for a folder.
    """

    path: str
    md5: str
    size: int
    files: int | None = None

    @property
    def is_folder(self) -> bool:
        """Whether the md5 is that of a list of files."""
        return self.md5.endswith(".dir")


@dataclass(frozen=True)
class Stage:
    """One run of a stage: `name` is `train@short-ridge` for an entry of a matrix.

    Attributes:
        params: the value of each dotted key of `params.yaml` that it depends on.
    """

    name: str
    cmd: str
    deps: tuple[Entry, ...]
    params: Mapping[str, Any]
    outs: tuple[Entry, ...]


@dataclass(frozen=True)
class Lock:
    """A `dvc.lock`."""

    stages: Mapping[str, Stage]

    @cached_property
    def outs(self) -> Mapping[str, Entry]:
        """All outputs, by path."""
        return {entry.path: entry for stage in self.stages.values() for entry in stage.outs}


def parse(text: str | bytes, name: str = str(LOCK_FILE)) -> Lock:
    """Read the text of a `dvc.lock`.

    Args:
        text: its YAML.
        name: of the file, for messages.

    Raises:
        VersionError: it is not a `dvc.lock`, for example because it holds conflict marks.
    """
    try:
        stages = (yaml.load(text, Loader=yaml.CSafeLoader) or {}).get("stages") or {}
        return Lock({name: _stage(name, section) for name, section in stages.items()})
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError):
        raise VersionError(
            f"{name} cannot be read as a dvc.lock; after a merge take one side "
            "(`git checkout --ours dvc.lock`) and `dvc repro`"
        ) from None


def read(path: Path = LOCK_FILE) -> Lock:
    """Read a `dvc.lock` of the working tree, without stages that its pipeline no longer has.

    Raises:
        VersionError: the file is missing or not a `dvc.lock`.
    """
    try:
        lock = parse(path.read_bytes(), str(path))
    except FileNotFoundError:
        raise VersionError(f"{path}: no such file; run `dvc repro` first") from None
    beside = (path.with_name(str(name)) for name in _PIPELINE)
    return _present(lock, *(file.read_bytes() if file.exists() else None for file in beside))


def at(revision: str, folder: Path | None = None) -> Lock:
    """Read the `dvc.lock` of a revision, without stages that its pipeline no longer has.

    Raises:
        VersionError: there is no such revision, or it has no `dvc.lock`.
    """
    text = git.content(revision, LOCK_FILE, folder)
    if text is None:
        raise VersionError(f"{revision} has no {LOCK_FILE}: nothing was reproduced there")
    lock = parse(text, f"{LOCK_FILE} of {revision}")
    return _present(lock, *(git.content(revision, name, folder) for name in _PIPELINE))


def _present(lock: Lock, *texts: bytes | None) -> Lock:
    has = pipeline.names(*map(pipeline.parse, texts))
    return Lock({name: stage for name, stage in lock.stages.items() if has(name)})


def _stage(name: str, section: Mapping[str, Any]) -> Stage:
    params: dict[str, Any] = {}
    for values in (section.get("params") or {}).values():
        params.update(values)
    cmd = section["cmd"]
    return Stage(
        name=name,
        cmd=cmd if isinstance(cmd, str) else " && ".join(cmd),
        deps=_entries(section.get("deps") or ()),
        params=params,
        outs=_entries(section.get("outs") or ()),
    )


def _entries(section: Iterable[Mapping[str, Any]]) -> tuple[Entry, ...]:
    return tuple(
        Entry(entry["path"], entry["md5"], int(entry["size"]), entry.get("nfiles"))
        for entry in section
    )
