"""The files that a bundle is made of, each read once and compared with its md5 in dvc.lock."""

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import polars as pl
from pydantic import ValidationError

from stages.common.errors import StageError
from stages.common.text import first_line
from versions.repository.lock import LOCK_FILE, Lock

_C = TypeVar("_C")
_T = TypeVar("_T")

REMEDY = "run `dvc checkout`, `dvc pull` or `dvc repro`, unless one is running"


class BundleError(StageError):
    """The files of `models/` are not those of dvc.lock, or contradict each other."""


def read_lock(root: Path) -> bytes:
    """The bytes of dvc.lock.

    Raises:
        BundleError: it cannot be read.
    """
    try:
        return (root / LOCK_FILE).read_bytes()
    except OSError as error:
        raise BundleError(f"{LOCK_FILE}: {reason(error)}") from None


def checked(root: Path, path: Path, md5: str) -> bytes:
    """The bytes of a file.

    Raises:
        BundleError: it is missing, or its md5 is another.
    """
    try:
        content = (root / path).read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: {reason(error)}; {REMEDY}") from None
    if (actual := md5_of(content)) != md5:
        raise BundleError(f"{path}: md5 is {actual}, {LOCK_FILE} has {md5}; {REMEDY}")
    return content


def check_lock(root: Path, text: bytes) -> None:
    """Check that dvc.lock has not changed since it was read.

    A checkout writes dvc.lock before it moves HEAD: a HEAD that is read after a change would give
    the models of one commit the name of another.

    Raises:
        BundleError: it has changed.
    """
    if read_lock(root) != text:
        raise BundleError(f"{LOCK_FILE}: has changed while it was read")


class Files:
    """The outputs of a lock.

    Attributes:
        read: md5 by path, of those that were read.
    """

    def __init__(self, root: Path, lock: Lock) -> None:
        """The files of a root, which may be the project or a folder with `models/`."""
        self._root = root
        self._lock = lock
        self._outs = lock.outs
        self.read: dict[Path, str] = {}

    def md5(self, path: Path) -> str:
        """The md5 that the lock has.

        Raises:
            BundleError: it has none.
        """
        entry = self._outs.get(path.as_posix())
        if entry is None:
            raise BundleError(f"{LOCK_FILE}: has no entry for {path}; run `dvc repro`")
        return entry.md5

    def made_from(self, path: Path, source: Path) -> bool:
        """Whether the stage that made a file read another one as it is now."""
        return any(
            entry.path == source.as_posix() and entry.md5 == self.md5(source)
            for stage in self._lock.stages.values()
            if any(out.path == path.as_posix() for out in stage.outs)
            for entry in stage.deps
        )

    def parsed(self, path: Path, parse: Callable[[bytes], _T]) -> _T:
        """What a parser makes of a file.

        Raises:
            BundleError: the file is not that of the lock, or the parser failed.
        """
        self.read[path] = self.md5(path)
        return parsed(path, checked(self._root, path, self.read[path]), parse)

    def json(self, path: Path) -> dict[str, Any]:
        """A file of JSON."""
        return self.parsed(path, json.loads)

    def table(self, path: Path) -> pl.DataFrame:
        """A file of Parquet."""
        return self.parsed(path, lambda content: pl.read_parquet(io.BytesIO(content)))


def parsed(path: Path, content: _C, parse: Callable[[_C], _T]) -> _T:
    """What a parser makes of the content of a file.

    Raises:
        BundleError: the parser failed.
    """
    try:
        return parse(content)
    except ValidationError as error:
        raise BundleError(f"{path}: {mistake(error)}") from None
    except Exception as error:  # noqa: BLE001  # parsers raise classes of their own
        raise BundleError(f"{path}: cannot be read ({reason(error)})") from None


def mistake(error: ValidationError) -> str:
    """The first mistake of a document, in a line."""
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else str(first["msg"])


def md5_of(content: bytes) -> str:
    """The md5 of a file, as dvc.lock writes it."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def reason(error: Exception) -> str:
    """Why something failed, in a line."""
    if isinstance(error, OSError):
        return (error.strerror or str(error)).lower()
    return first_line(error)
