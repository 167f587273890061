"""The objects of a revision, and their copies here and in the remote.

DVC keeps each file under the md5 of its bytes, and each folder as a list of its files under the md5
of that list with `.dir` at the end. So the name of an object tells whether its bytes are right.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from stages.common.errors import VersionError
from versions.repository import revision
from versions.repository.workspace import digest
from versions.storage.faults import checked, explain, is_corruption
from versions.storage.remote_config import Remote


class Object(NamedTuple):
    """One object of a cache or a remote.

    Attributes:
        oid: the md5 of its bytes, with `.dir` at the end for the list of a folder's files.
        paths: the paths in the project that have these bytes, relative to its root.
        folders: the oids of the folders that list it.
    """

    oid: str
    paths: list[str]
    folders: set[str]


def outputs(repo: Any, targets: Sequence[str] = ()) -> list[Any]:
    """The outputs that are pushed and pulled, each a `dvc.output.Output`.

    Args:
        repo: the `dvc.repo.Repo`, at any revision.
        targets: paths that are, hold or lie in an output; without any, all outputs count.

    Raises:
        VersionError: a path has nothing to do with any output.
    """
    outs = [out for out in repo.index.outs if out.use_cache and out.can_push and out.is_in_repo]
    for target in targets:
        if not any(_overlaps(revision.place(out), [target]) for out in outs):
            raise VersionError(f"no output is, holds or lies in {target}; `dvc ls -R --dvc-only .`")
    return [out for out in outs if _overlaps(revision.place(out), targets)]


def objects(outs: Iterable[Any], stores: Sequence[Any], targets: Sequence[str]) -> list[Object]:
    """The objects of outputs and of the files in them that `targets` name, sorted by path.

    The lists of files are looked for in one store after the other.

    Raises:
        VersionError: no store has the list of a folder whole.
    """
    items: dict[str, Object] = {}
    for out in outs:
        oid, path = out.hash_info.value, revision.place(out)
        if oid:
            is_folder = oid.endswith(".dir")
            items.setdefault(oid, Object(oid, [], set())).paths.append(path + "/" * is_folder)
            for entry in _entries(stores, oid, path) if is_folder else ():
                md5, inner = entry["md5"], f"{path}/{entry['relpath']}"
                if _overlaps(inner, targets):
                    item = items.setdefault(md5, Object(md5, [], set()))
                    item.paths.append(inner)
                    item.folders.add(oid)
    return sorted(items.values(), key=lambda item: item.paths)


def _overlaps(path: str, targets: Sequence[str]) -> bool:
    here = PurePosixPath(path)
    return not targets or any(
        here.is_relative_to(target) or PurePosixPath(target).is_relative_to(here)
        for target in targets
    )


def _entries(stores: Sequence[Any], oid: str, path: str) -> list[dict[str, str]]:
    for store in stores:
        content = b""
        try:
            content = store.fs.cat_file(store.oid_to_path(oid))
        except Exception as error:
            if not isinstance(error, FileNotFoundError) and not is_corruption(error):
                raise
        if hashlib.md5(content, usedforsecurity=False).hexdigest() == oid.removesuffix(".dir"):
            entries: list[dict[str, str]] = json.loads(content)
            return entries
    raise VersionError(
        f"the list of the files of {path}/ is whole neither in the remote nor here: run `make heal`"
        " in the clone that made it, or `dvc repro` here"
    )


def cached(repo: Any, item: Object) -> Path:
    """The path of an object in the cache of this clone, whether it is there or not."""
    return Path(repo.cache.local.oid_to_path(item.oid))


def is_whole(path: Path, oid: str) -> bool:
    """Whether there is a file with the bytes of an object."""
    return path.is_file() and digest(path) == oid.removesuffix(".dir")


def upload(remote: Remote, items: Iterable[Object], jobs: int | None = None) -> list[Object]:
    """Write objects from the cache or the working tree of this clone into the remote.

    Lists of files come last, and only with all their files: to DVC, a list stands for its files.

    Returns:
        The objects of which no whole copy is here.

    Raises:
        VersionError: the remote cannot be written, or no longer answers.
    """
    from dvc_objects.fs.local import localfs

    root = Path(remote.repo.root_dir)
    copies: dict[str, str] = {}
    lists: dict[str, str] = {}
    lost: list[Object] = []
    for item in sorted(items, key=lambda item: item.oid.endswith(".dir")):
        places = [cached(remote.repo, item), *(root / path for path in item.paths)]
        copy = next((path for path in places if is_whole(path, item.oid)), None)
        if copy is None or any(item.oid in other.folders for other in lost):
            lost.append(item)
        else:
            (lists if item.oid.endswith(".dir") else copies)[item.oid] = str(copy)
    for paths in (copies, lists):
        for error in _add(remote, remote.objects, localfs, paths, jobs).values():
            raise VersionError(explain(remote, error))
    return lost


def download(
    remote: Remote, items: Sequence[Object], store: Any, jobs: int | None = None
) -> tuple[list[Object], list[Object]]:
    """Read objects into a store of this machine, which keeps those that are whole.

    Returns:
        The objects that are corrupt in the remote, and those that are missing.

    Raises:
        VersionError: the remote cannot be read, or no longer answers.
    """
    paths = {item.oid: remote.objects.oid_to_path(item.oid) for item in items}
    errors = _add(remote, store, remote.objects.fs, paths, jobs)
    corrupt, missing = [], []
    for item in items:
        error = errors.get(item.oid)
        if isinstance(error, FileNotFoundError):
            missing.append(item)
        elif error is not None and not is_corruption(error):
            raise VersionError(explain(remote, error))
        elif not Path(store.oid_to_path(item.oid)).exists():
            corrupt.append(item)
    return corrupt, missing


def _add(
    remote: Remote, store: Any, source: Any, paths: Mapping[str, str], jobs: int | None
) -> dict[str, BaseException]:
    """Add objects by DVC, which compares the md5 of those that come; returns errors by oid."""
    from dvc.fs.callbacks import TqdmCallback

    errors: dict[str, BaseException] = {}

    def add() -> None:
        # DVC 3.67 renames the temporary file of a single object although the object did not come.
        with suppress(FileNotFoundError), TqdmCallback(unit="file") as bar:
            store.add(
                *(list(paths.values()), source, list(paths)),
                callback=bar,
                check_exists=False,
                on_error=errors.__setitem__,
                batch_size=jobs,
                verify=store is not remote.objects,
            )

    if paths:
        checked(remote, add)
    return errors
