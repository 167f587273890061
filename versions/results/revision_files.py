"""Small files of a revision, such as its metrics: many at once, without a checkout."""

from collections.abc import Sequence
from pathlib import Path

from stages.common.errors import InputError
from versions.repository import git


def present(path: Path) -> bytes:
    """The bytes of a file of the working tree.

    Raises:
        InputError: the pipeline has not run.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run `dvc repro` first") from None


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
    texts = git.contents([f"{commit}:{name}" for name in names], folder)
    return {name: text for name, text in zip(names, texts, strict=True) if text is not None}
