"""The bars of the last run, even where DVC has removed `data/raw/` before the stage runs."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def last_bars(raw: Path) -> Iterator[Path]:
    """Give `raw`, or the same folder out of the DVC cache, by the md5 that `dvc.lock` has.

    DVC deletes an output before it runs its stage, but a source may send only the bars that follow
    those of the last run, and ingest compares old bars with new ones. In a project without DVC,
    and in a fresh clone, whose cache lacks the bars, the folder is empty.
    """
    if raw.exists():
        yield raw
        return
    with tempfile.TemporaryDirectory() as folder:
        links = Path(folder)
        for name, file in _cached(raw).items():
            (links / name).parent.mkdir(parents=True, exist_ok=True)
            (links / name).symlink_to(file)
        yield links


def _cached(folder: Path) -> dict[str, Path]:
    """The files of an output in the DVC cache by their names below it; none if one is missing.

    `Repo.find_outs_by_path` would load the whole pipeline to find the md5 that `dvc.lock` has.
    """
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo
    from dvc.utils.serialize import load_yaml

    lock = Path("dvc.lock")
    try:
        with Repo() as repo:
            cache = Path(repo.cache.local.path)
    except NotDvcRepoError:
        return {}
    stages = load_yaml(lock).get("stages", {}).values() if lock.exists() else ()
    md5s = [
        entry["md5"]
        for stage in stages
        for entry in stage.get("outs", ())
        if entry["path"] == folder.as_posix() and "md5" in entry
    ]
    listing = _place(cache, md5s[0]) if md5s else None
    if listing is None or not listing.exists():
        return {}
    files = {
        entry["relpath"]: _place(cache, entry["md5"]) for entry in json.loads(listing.read_bytes())
    }
    return files if all(file.is_file() for file in files.values()) else {}


def _place(cache: Path, md5: str) -> Path:
    return cache / md5[:2] / md5[2:]
