"""Whether a file of the working tree is the one of the `dvc.lock`."""

import hashlib
import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from versions.repository.lock import Entry

State = Literal["same", "different", "missing"]

IGNORE_FILE = Path(".dvcignore")


def state(entry: Entry, root: Path = Path()) -> State:
    """Compare what is at hand with what a lock says of it.

    Args:
        entry: of the lock.
        root: of the project.
    """
    path = root / entry.path
    if not path.exists():
        return "missing"
    if path.is_dir() != entry.is_folder:
        return "different"
    return "same" if digest(path, _ignored(root)) == entry.md5 else "different"


def digest(path: Path, ignored: tuple[str, ...] = ()) -> str:
    """The md5 of a file, or of a folder as DVC has it: that of the list of its files, and `.dir`.

    Args:
        path: what is there.
        ignored: patterns of names that do not count.
    """
    if not path.is_dir():
        with path.open("rb") as file:
            return hashlib.file_digest(file, _md5).hexdigest()
    files = [
        {"md5": digest(file), "relpath": file.relative_to(path).as_posix()}
        for file in path.rglob("*")
        if file.is_file()
        and not any(
            fnmatchcase(part, pattern)
            for part in file.relative_to(path).parts
            for pattern in ignored
        )
    ]
    listed = json.dumps(sorted(files, key=lambda entry: entry["relpath"]), sort_keys=True)
    return f"{_md5(listed.encode()).hexdigest()}.dir"


def _ignored(root: Path) -> tuple[str, ...]:
    """The names in `.dvcignore`; patterns of whole paths are DVC's own to read."""
    file = root / IGNORE_FILE
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return tuple(line.rstrip("/") for line in lines if line and not line.startswith("#"))


def _md5(data: bytes = b"") -> "hashlib._Hash":
    return hashlib.md5(data, usedforsecurity=False)
