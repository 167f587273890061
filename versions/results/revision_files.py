"""Small files of a revision, such as its metrics: many at once, without a checkout."""

from collections.abc import Sequence
from pathlib import Path

from versions.repository import git


def contents(
    commit: str, paths: Sequence[Path | str], folder: Path | None = None
) -> dict[str, bytes]:
    """The bytes of files by their paths; a file that is not there is left out.

    Args:
        commit: its hash; empty for the working tree.
        paths: relative to the root of the project.
        folder: of the project; the working folder by default.

    Raises:
        VersionError: git is missing, or the folder is not in a repository.
    """
    names = [str(path) for path in paths]
    if not commit:
        files = {name: (folder or Path()) / name for name in names}
        return {name: file.read_bytes() for name, file in files.items() if file.is_file()}
    hashes = git.identify([f"{commit}:{name}" for name in names], folder)
    present = {name: file for name, file in zip(names, hashes, strict=True) if file is not None}
    blobs = dict(git.blobs(list(dict.fromkeys(present.values())), folder))
    return {name: blobs[file] for name, file in present.items()}
