"""Mend the bucket: every object of the checked-out revision is there whole, or not at all."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from stages.common.running import progress
from versions.storage import bucket
from versions.storage.objects import Object, cached, state_here
from versions.storage.remote_config import Remote


@dataclass(frozen=True)
class Healed:
    """What `heal` found and did, files before folders.

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
    items = bucket.wanted(remote).objects
    found = bucket.states(remote, items.values())
    dropped = [item for item in items.values() if _drop_broken(remote, item)]
    wrong = [item for item in items.values() if found[item.oid] != "whole"]
    mended, lost = write(remote, wrong)
    deleted = [item for item in lost if found[item.oid] == "broken"]
    absent = [item for item in lost if found[item.oid] == "missing"]
    # Lists first: who is interrupted leaves no list that speaks for files that are gone.
    for folder in sorted({oid for item in lost for oid in item.folders}):
        bucket.delete(remote, folder)
    for item in deleted:
        bucket.delete(remote, item.oid)
    return Healed(len(items), *map(tuple, (mended, deleted, absent, dropped)))


def write(remote: Remote, items: Iterable[Object]) -> tuple[list[Object], list[Object]]:
    """Write objects into the bucket, over what is there; shows progress on a terminal.

    Returns:
        Those that were written, and those of which no whole copy is here. A list counts as one of
        the latter with any file that it names: it speaks for them, to DVC.
    """
    written: list[Object] = []
    lost: list[Object] = []
    ordered = sorted(items, key=lambda item: item.is_folder)
    for item in progress(ordered, "Writing into the bucket"):
        source = _whole_copy(remote, item)
        if source is None or any(item.oid in other.folders for other in lost):
            lost.append(item)
        else:
            bucket.write(remote, source, item)
            written.append(item)
    return written, lost


def _drop_broken(remote: Remote, item: Object) -> bool:
    path = cached(remote.repo, item)
    if state_here(path, item.oid) != "broken":
        return False
    path.unlink()
    return True


def _whole_copy(remote: Remote, item: Object) -> Path | None:
    root = Path(remote.repo.root_dir)
    places = [
        cached(remote.repo, item),
        *(root / path for path in item.paths if not item.is_folder),
    ]
    return next((place for place in places if state_here(place, item.oid) == "whole"), None)
