"""The objects of a revision: what they are, and whether one is whole.

DVC keeps each file under the md5 of its bytes, and each folder as a list of its files under the md5
of that list with `.dir` at the end. Whether an object is whole can therefore be told from itself.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from stages.common.errors import VersionError
from versions.repository import revision
from versions.storage.faults import contradicts_itself

State = Literal["whole", "broken", "missing"]


@dataclass(frozen=True)
class Object:
    """One object of the cache or the bucket.

    Attributes:
        oid: md5 of its bytes, with `.dir` at the end for the list of a folder's files.
        paths: in the project that have these bytes, relative to its root.
        folders: oids of the folders that list it.
    """

    oid: str
    paths: tuple[str, ...]
    folders: tuple[str, ...] = ()

    @property
    def is_folder(self) -> bool:
        """Whether it is the list of a folder's files."""
        return self.oid.endswith(".dir")

    @property
    def name(self) -> str:
        """What to call it to a user."""
        return f"{self.paths[0]}/" if self.is_folder else self.paths[0]


@dataclass(frozen=True)
class Wanted:
    """What `dvc.lock` and `*.dvc` of a revision ask for.

    Attributes:
        objects: by oid, sorted by path.
        unlisted: folders whose list of files is whole nowhere; their files are not known.
    """

    objects: Mapping[str, Object]
    unlisted: tuple[Object, ...]


def outputs(repo: Any) -> list[tuple[str, str]]:
    """Path and oid of what is pushed and pulled of a project, sorted.

    Args:
        repo: DVC's view of it, at any revision.
    """
    return sorted(
        (revision.place(out), out.hash_info.value) for out in _shared(repo) if out.hash_info
    )


def unmade(repo: Any) -> list[str]:
    """Paths of what would be pushed and pulled, but was never made."""
    return sorted(revision.place(out) for out in _shared(repo) if not out.hash_info)


def _shared(repo: Any) -> Iterator[Any]:
    return (out for out in repo.index.outs if out.use_cache and out.can_push and out.is_in_repo)


def spoken(repo: Any, targets: Iterable[str]) -> list[str]:
    """Paths as DVC takes them: outputs and what lies in them, but no folder that holds outputs.

    Such a folder (`models`) becomes the stages that write into it and nowhere else, for DVC looks
    up each target anew, which takes it a second; and their outputs one by one where they do.

    Args:
        repo: DVC's view of the project.
        targets: paths from its root.

    Raises:
        VersionError: a path has nothing to do with any output.
    """
    makers: dict[str, list[str]] = {}
    for out in _shared(repo):
        makers.setdefault(_family(out.stage), []).append(revision.place(out))
    found: list[str] = []
    for target in targets:
        here = PurePosixPath(target)
        if not any(_concerned(path, (here,)) for paths in makers.values() for path in paths):
            raise VersionError(f"no output is, holds or lies in {target}; `dvc ls -R --dvc-only .`")
        words: list[str] = []
        for maker, paths in makers.items():
            inside = [path for path in paths if PurePosixPath(path).is_relative_to(here)]
            words += [maker] if maker and len(inside) == len(paths) > 1 else inside
        found += words or [target]
    return found


def _family(stage: Any) -> str:
    """The name by which DVC takes a stage and those of the same matrix, if it has one."""
    name = getattr(stage, "name", None)
    return name.partition("@")[0] if name and stage.path_in_repo == "dvc.yaml" else ""


def wanted(
    outs: Iterable[tuple[str, str]], stores: Sequence[Any], targets: Iterable[str] = ()
) -> Wanted:
    """The objects that a revision needs, files within folders included.

    Args:
        outs: of the revision, from `outputs`.
        stores: DVC's object stores, in which lists of files are looked for one after the other.
        targets: only what is, holds or lies in one of these paths.
    """
    chosen = tuple(map(PurePosixPath, targets))
    paths: dict[str, set[str]] = {}
    folders: dict[str, set[str]] = {}
    unlisted = []
    for path, oid in outs:
        if not _concerned(path, chosen):
            continue
        paths.setdefault(oid, set()).add(path)
        if not oid.endswith(".dir"):
            continue
        listed = _listing(stores, oid)
        if listed is None:
            unlisted.append(Object(oid, (path,)))
            continue
        for entry in listed:
            inner = f"{path}/{entry['relpath']}"
            if not _concerned(inner, chosen):
                continue
            paths.setdefault(entry["md5"], set()).add(inner)
            folders.setdefault(entry["md5"], set()).add(oid)
    found = (
        Object(oid, tuple(sorted(names)), tuple(sorted(folders.get(oid, ()))))
        for oid, names in paths.items()
    )
    ordered = sorted(found, key=lambda item: item.paths)
    return Wanted({item.oid: item for item in ordered}, tuple(unlisted))


def _concerned(path: str, targets: tuple[PurePosixPath, ...]) -> bool:
    here = PurePosixPath(path)
    return not targets or any(
        here.is_relative_to(target) or target.is_relative_to(here) for target in targets
    )


def _listing(stores: Sequence[Any], oid: str) -> list[dict[str, str]] | None:
    for store in stores:
        content = _listed(store, oid)
        if content is not None:
            found: list[dict[str, str]] = json.loads(content)
            return found
    return None


def _listed(store: Any, oid: str) -> bytes | None:
    try:
        with store.fs.open(store.oid_to_path(oid), "rb") as file:
            content: bytes = file.read()
    except FileNotFoundError:
        return None
    except Exception as error:
        if not contradicts_itself(error):
            raise
        return None
    return content if _new_md5(content).hexdigest() == oid.removesuffix(".dir") else None


def _new_md5(content: bytes = b"") -> "hashlib._Hash":
    return hashlib.md5(content, usedforsecurity=False)


def cached(repo: Any, item: Object) -> Path:
    """Where an object lies in the cache of this clone, if it does."""
    return Path(repo.cache.local.oid_to_path(item.oid))


def state_here(path: Path, oid: str) -> State:
    """Read a file of this machine to its end, and compare its md5 with the name of an object."""
    if not path.is_file():
        return "missing"
    with path.open("rb") as file:
        found = hashlib.file_digest(file, _new_md5).hexdigest()
    return "whole" if found == oid.removesuffix(".dir") else "broken"
