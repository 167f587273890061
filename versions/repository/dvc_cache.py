"""Where DVC keeps the files of a project, of any revision, by their md5."""

from functools import cache
from pathlib import Path

from stages.common.errors import VersionError


def path(md5: str, root: Path | None = None) -> Path:
    """Where the file of an md5 is, if the cache has it.

    Args:
        md5: of the file; of a folder, the one with `.dir`.
        root: of the project; the working folder by default.

    Raises:
        VersionError: DVC does not know the project.
    """
    return _folder((root or Path()).resolve()) / md5[:2] / md5[2:]


@cache
def _folder(root: Path) -> Path:
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(root)) as repo:
            return Path(repo.cache.local.path)
    except DvcException as error:
        raise VersionError(f"{root}: DVC cannot tell where its cache is: {error}") from None
