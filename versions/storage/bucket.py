"""What the bucket of a remote has of the objects of a revision."""

import asyncio
from collections.abc import Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed, wait
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from stages.common.running import progress
from versions.storage import objects, patience
from versions.storage.faults import contradicts_itself, explaining
from versions.storage.objects import Object, State, Wanted, state_here
from versions.storage.remote_config import Remote

THREADS = 4
"""Objects that are read at a time; each lies in a temporary file meanwhile."""


def wanted(remote: Remote, targets: Iterable[str] = ()) -> Wanted:
    """The objects of the checked-out revision, lists of files from here or else from the bucket.

    Raises:
        VersionError: the bucket cannot be read, or see `objects.wanted`.
    """
    with explaining(remote):
        stores = (remote.repo.cache.local, remote.objects)
        return objects.wanted(objects.outputs(remote.repo), stores, targets)


def absent(remote: Remote, items: Iterable[Object]) -> list[Object]:
    """Those objects that the bucket does not have; their bytes are not read."""
    items = list(items)
    with explaining(remote):
        there = set(remote.objects.oids_exist([item.oid for item in items]))
    return [item for item in items if item.oid not in there]


def states(remote: Remote, items: Iterable[Object]) -> dict[str, State]:
    """The states of objects by oid, each read to its end; shows progress on a terminal."""
    items = list(items)
    pool = ThreadPoolExecutor(THREADS)
    try:
        asked = {pool.submit(state, remote, item): item for item in items}
        done = progress(as_completed(asked), "Reading the bucket", len(items))
        return {asked[future].oid: future.result() for future in done}
    finally:
        # Where one finds no server, the others would only wait for it.
        pool.shutdown(cancel_futures=True)


def state(remote: Remote, item: Object) -> State:
    """Fetch an object into a temporary file, and compare."""
    store = remote.objects
    with explaining(remote), TemporaryDirectory(dir=remote.repo.tmp_dir) as folder:
        copy = Path(folder) / "object"
        try:
            # In one piece, as DVC does: rclone answers part of an object with the checksum of all.
            _waited(
                remote,
                f"the reading of {item.name}",
                store.fs.fs._get_file(store.oid_to_path(item.oid), str(copy)),  # noqa: SLF001
            )
        except FileNotFoundError:
            return "missing"
        except Exception as error:
            if not contradicts_itself(error):
                raise
            return "broken"
        return state_here(copy, item.oid)


def write(remote: Remote, source: Path, item: Object) -> None:
    """Write an object from a file of this machine, over what is there."""
    store = remote.objects
    with explaining(remote):
        _waited(
            remote,
            f"the writing of {item.name}",
            store.fs.fs._put_file(str(source), store.oid_to_path(item.oid)),  # noqa: SLF001
        )


def delete(remote: Remote, oid: str) -> None:
    """Delete an object, if it is there."""
    store = remote.objects
    path = store.oid_to_path(oid)
    with explaining(remote):
        if store.fs.exists(path):
            store.fs.remove(path)


def _waited(remote: Remote, during: str, task: Coroutine[Any, Any, None]) -> None:
    """Run a task of the S3 client, which waits for ever where a server takes no more bytes."""
    future = asyncio.run_coroutine_threadsafe(task, remote.objects.fs.fs.loop)
    waiting = patience.Patience(remote, during)
    try:
        while not wait([future], patience.LOOK_SECONDS).done:
            waiting.look()
    except BaseException:
        future.cancel()
        raise
    future.result()
