"""The bars that the last run left, where DVC has removed `data/raw/` to make it anew."""

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
    """The files of an output in the DVC cache by their names below it; none if one is missing."""
    from dvc.exceptions import NotDvcRepoError, OutputNotFoundError
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            (output,) = repo.find_outs_by_path(str(folder))
            tree = output.get_obj()
            cache = repo.cache.local
            files = {
                "/".join(key): Path(cache.oid_to_path(hashed.value))
                for key, _, hashed in tree or ()
            }
    except (NotDvcRepoError, OutputNotFoundError):
        return {}
    return files if all(file.is_file() for file in files.values()) else {}
