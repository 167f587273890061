"""Push, pull and heal.

DVC's file systems move every byte. `dvc push` and `dvc fetch` are not used: they rely on notes of
what the remote had, never replace a corrupt object, and wait for a lost server file by file.
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from stages.common.errors import VersionError, few
from stages.common.running import log, progress
from versions.repository import revision as revisions
from versions.storage import faults, object_store
from versions.storage.object_store import Object
from versions.storage.remote_config import Remote

READ_TOGETHER = 8
"""Objects that `heal` reads at a time; they are in a temporary folder meanwhile."""


class Sent(NamedTuple):
    """The URL of the remote, how many objects were asked for, and how many were pushed now."""

    remote: str
    objects: int
    pushed: int


def push(
    remote: Remote,
    targets: Sequence[str] = (),
    jobs: int | None = None,
    revision: str | None = None,
) -> Sent:
    """Make the remote hold every object of a revision, by default of the checked-out one.

    Raises:
        VersionError: the remote cannot be used, or an object is neither in it nor here.
    """
    if revision is None:
        items = _objects(remote, remote.repo, targets)
    else:
        with revisions.opened(revision, Path(remote.repo.root_dir)) as repo:
            items = _objects(remote, repo, targets)
    oids = [item.oid for item in items]
    present = set(faults.checked(remote, lambda: remote.objects.oids_exist(oids)))
    absent = [item for item in items if item.oid not in present]
    lost = object_store.upload(remote, absent, jobs)
    url = remote.objects.fs.unstrip_protocol(remote.objects.path)
    if lost:
        raise VersionError(
            f"{_names(lost)} of {revision or 'this revision'} is neither in {url} nor here: `make "
            "push` in the clone that made it, or `dvc repro` at that revision and `make push`"
        )
    return Sent(url, len(items), len(absent))


def pull(remote: Remote, targets: Sequence[str] = (), jobs: int | None = None) -> int:
    """Fetch what the cache lacks, and only then check out; returns the number of objects.

    Raises:
        VersionError: the remote cannot be used, or lacks objects or has corrupt ones, and the
            working tree is as it was; or a file is in the way.
    """
    from dvc.exceptions import DvcException

    repo = remote.repo
    items = _objects(remote, repo, targets)
    absent = [item for item in items if not object_store.cached(repo, item).exists()]
    corrupt, missing = object_store.download(remote, absent, repo.cache.local, jobs)
    if corrupt:
        raise VersionError(
            f"the remote has {_names(corrupt)} with other bytes than dvc.lock says: run `make heal`"
            " in a clone that has it, then `make pull` again; the working tree is as it was"
        )
    if missing:
        raise VersionError(
            f"the remote lacks {_names(missing)}: run `make push` in the clone that made it, or "
            "`dvc repro` here; the working tree is as it was"
        )
    try:
        if not targets:
            repo.checkout()
        # `dvc checkout` refuses a folder above outputs, and takes a second to look up each target.
        for out in object_store.outputs(repo, targets) if targets else ():
            inside = [repo.fs.abspath(target) for target in targets]
            with repo.lock:
                for path in [path for path in inside if repo.fs.isin(path, out.fs_path)] or [None]:
                    out.checkout(filter_info=path)
    except DvcException as error:
        raise VersionError(
            f"DVC: {error}: move what is in the way elsewhere, or `dvc checkout --force` drops it"
        ) from None
    return len(items)


def heal(remote: Remote) -> Sent:
    """Make the remote hold every object of the checked-out revision whole, or not at all.

    Corrupt objects are deleted, and so are the lists that name a corrupt or missing object: DVC
    does not look at the files of a list that is there. Objects with a whole copy here are pushed
    again. Corrupt objects in the cache of this clone are deleted too. Logs each of them.

    Raises:
        VersionError: the remote cannot be used, or lacks objects in the end.
    """
    from dvc_data.hashfile.db import get_odb
    from dvc_objects.fs.local import localfs

    items = _objects(remote, remote.repo)
    doomed: list[str] = []
    for start in progress(range(0, len(items), READ_TOGETHER), "Reading the remote"):
        with TemporaryDirectory(dir=remote.repo.tmp_dir) as folder:
            store: Any = get_odb(localfs, folder, hash_name="md5")  # type: ignore[no-untyped-call]
            batch = items[start : start + READ_TOGETHER]
            wrong = object_store.download(remote, batch, store)
        for state, those in zip(("corrupt", "missing"), wrong, strict=True):
            for item in those:
                log.info("heal: %s: %s in the remote (%s)", item.paths[0], state, item.oid)
                # Lists first: an interruption leaves no list of files that are gone.
                doomed = [*item.folders, *doomed, item.oid]
    for item in items:
        path = object_store.cached(remote.repo, item)
        if path.exists() and not object_store.is_whole(path, item.oid):
            path.unlink()
            log.info("heal: %s: corrupt in the cache here, deleted", item.paths[0])
    objects = remote.objects
    faults.checked(remote, lambda: [objects.delete(oid) for oid in doomed if objects.exists(oid)])
    return push(remote)


def _objects(remote: Remote, repo: Any, targets: Sequence[str] = ()) -> list[Object]:
    """The objects of a revision, with the lists of files from the cache or else the remote."""
    outs = object_store.outputs(repo, targets)
    faults.check(remote)
    stores = (remote.repo.cache.local, remote.objects)
    return faults.checked(remote, lambda: object_store.objects(outs, stores, targets))


def _names(items: Sequence[Object]) -> str:
    return few([item.paths[0] for item in items], 3)
