"""The objects of the checked-out revision: what they are, where they are whole, how to mend them.

DVC keeps each file under the md5 of its bytes, and each folder as a list of its files under the md5
of that list with `.dir` at the end. Whether an object is whole can therefore be told from itself.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, Literal

from stages.run import progress
from stages.versions.remote import Remote, contradicts_itself, explaining

THREADS = 4
"""Objects that are read at a time; each lies in a temporary file meanwhile."""

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
    """What `dvc.lock` and `*.dvc` ask for.

    Attributes:
        objects: by oid, sorted by path.
        unlisted: folders whose list of files is whole neither here nor in the bucket.
    """

    objects: Mapping[str, Object]
    unlisted: tuple[Object, ...]


def wanted(remote: Remote, targets: Iterable[str] = (), *, online: bool = True) -> Wanted:
    """The objects that the checked-out revision needs, files within folders included.

    Args:
        remote: of the project.
        targets: only outputs that are, hold or lie below one of these paths.
        online: whether a list of files that is not whole here is asked of the bucket.
    """
    paths: dict[str, set[str]] = {}
    folders: dict[str, set[str]] = {}
    unlisted = []
    chosen = tuple(map(PurePosixPath, targets))
    for path, oid in sorted(_outputs(remote)):
        if not _concerned(path, chosen):
            continue
        paths.setdefault(oid, set()).add(path)
        if not oid.endswith(".dir"):
            continue
        listed = _listing(remote, oid, online=online)
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


def _outputs(remote: Remote) -> Iterator[tuple[str, str]]:
    root = Path(remote.repo.root_dir)
    for out in remote.repo.index.outs:
        if out.use_cache and out.can_push and out.is_in_repo and out.hash_info:
            yield Path(out.fs_path).relative_to(root).as_posix(), out.hash_info.value


def _concerned(path: str, targets: tuple[PurePosixPath, ...]) -> bool:
    here = PurePosixPath(path)
    return not targets or any(
        here.is_relative_to(target) or target.is_relative_to(here) for target in targets
    )


def _listing(remote: Remote, oid: str, *, online: bool) -> list[dict[str, str]] | None:
    content = _listed(remote.repo.cache.local, oid)
    if content is None and online:
        with explaining(remote):
            content = _listed(remote.objects, oid)
    if content is None:
        return None
    found: list[dict[str, str]] = json.loads(content)
    return found


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


def cached(remote: Remote, item: Object) -> Path:
    """Where an object lies in the cache of this clone, if it does."""
    return Path(remote.repo.cache.local.oid_to_path(item.oid))


def state_here(path: Path, oid: str) -> State:
    """Read a file of this machine to its end, and compare its md5 with the name of an object."""
    if not path.is_file():
        return "missing"
    with path.open("rb") as file:
        found = hashlib.file_digest(file, _new_md5).hexdigest()
    return "whole" if found == oid.removesuffix(".dir") else "broken"


def state_there(remote: Remote, item: Object) -> State:
    """Fetch an object from the bucket into a temporary file, and compare."""
    store = remote.objects
    with explaining(remote), TemporaryDirectory(dir=remote.repo.tmp_dir) as folder:
        copy = Path(folder) / "object"
        try:
            # In one piece, as DVC does: rclone answers part of an object with the checksum of all.
            store.fs.get_file(store.oid_to_path(item.oid), str(copy))
        except FileNotFoundError:
            return "missing"
        except Exception as error:
            if not contradicts_itself(error):
                raise
            return "broken"
        return state_here(copy, item.oid)


def states_there(remote: Remote, items: Iterable[Object]) -> dict[str, State]:
    """The states of objects in the bucket by oid; shows progress on a terminal."""
    items = list(items)
    pool = ThreadPoolExecutor(THREADS)
    try:
        asked = {pool.submit(state_there, remote, item): item for item in items}
        done = progress(as_completed(asked), "Reading the bucket", len(items))
        return {asked[future].oid: future.result() for future in done}
    finally:
        # Where one finds no server, the others would only wait for it.
        pool.shutdown(cancel_futures=True)


def absent_there(remote: Remote, items: Iterable[Object]) -> list[Object]:
    """Those objects that the bucket does not have; their bytes are not read."""
    items = list(items)
    with explaining(remote):
        there = set(remote.objects.oids_exist([item.oid for item in items]))
    return [item for item in items if item.oid not in there]


@dataclass(frozen=True)
class Healed:
    """What `heal` found and did, each sorted by path.

    Attributes:
        read: how many objects were compared.
        mended: written anew into the bucket.
        deleted: broken in the bucket, with no whole copy here.
        absent: missing in the bucket, with no whole copy here.
        dropped: broken in the cache of this clone.
    """

    read: int
    mended: tuple[Object, ...]
    deleted: tuple[Object, ...]
    absent: tuple[Object, ...]
    dropped: tuple[Object, ...]


def heal(remote: Remote) -> Healed:
    """Make the bucket hold every object of the checked-out revision whole, or not at all.

    A whole copy is looked for in the cache of this clone and in its working tree, and written over
    what is there. Without one the broken object is deleted, and with it the lists that name it:
    `dvc push` never looks below a list that is there, and would not bring it back from a clone that
    has it.
    """
    asked = wanted(remote)
    items = asked.objects
    found = states_there(remote, items.values())
    dropped = [item for item in items.values() if _drop_broken(cached(remote, item), item.oid)]
    mended, deleted, absent = [], [], []
    for oid, item in items.items():
        if found[oid] == "whole":
            continue
        source = _whole_copy(remote, item)
        if source is not None:
            _write(remote, source, item)
            mended.append(item)
        elif found[oid] == "broken":
            deleted.append(item)
        else:
            absent.append(item)
    for item in deleted:
        _delete(remote, item.oid)
    for folder in sorted({oid for item in (*deleted, *absent) for oid in item.folders}):
        _delete(remote, folder)
    return Healed(len(items), *map(tuple, (mended, deleted, absent, dropped)))


def _drop_broken(path: Path, oid: str) -> bool:
    if state_here(path, oid) != "broken":
        return False
    path.unlink()
    return True


def _whole_copy(remote: Remote, item: Object) -> Path | None:
    root = Path(remote.repo.root_dir)
    places = [cached(remote, item), *(root / path for path in item.paths if not item.is_folder)]
    return next((place for place in places if state_here(place, item.oid) == "whole"), None)


def _write(remote: Remote, source: Path, item: Object) -> None:
    store = remote.objects
    with explaining(remote):
        store.fs.put_file(str(source), store.oid_to_path(item.oid))


def _delete(remote: Remote, oid: str) -> None:
    store = remote.objects
    path = store.oid_to_path(oid)
    with explaining(remote):
        if store.fs.exists(path):
            store.fs.remove(path)
