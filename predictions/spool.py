"""Where rows are kept while the database is away: files of JSON lines, in a folder of the server.

Each process appends to files of its own, and holds a lock on them. A file without a lock is left
over from a process that was killed; whoever finds it takes it over.
"""

import errno
import fcntl
import logging
import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import IO

import orjson
from uuid_utils import uuid7

from predictions.schema import Row, prediction_logs, refusal

log = logging.getLogger("serve")

SUFFIX = ".spool"
CHUNK = 500
_LINE = orjson.OPT_APPEND_NEWLINE
_EMPTY: Row = dict.fromkeys(map(str, prediction_logs.columns.keys()))


class Spool:
    """Makes rows durable in files.

    Args:
        folder: of the files; made when there is something to keep.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()
        self._file: IO[bytes] | None = None
        self._good = 0

    def write(self, entries: Sequence[Sequence[Row]]) -> Sequence[str | None]:
        """Append entries, all in one `fsync`; returns for each why it was refused, or None.

        What a database would refuse is refused here: it must not be found out later.
        """
        refusals: list[str | None] = []
        content = b""
        for rows in entries:
            refused = next(filter(None, map(refusal, rows)), None)
            if refused is None:
                try:
                    content += b"".join(orjson.dumps(row, option=_LINE) for row in rows)
                except orjson.JSONEncodeError as error:
                    refused = str(error)
            refusals.append(refused)
        with self._lock:
            file = self._file or self._open()
            try:
                _write_all(file, content)
                os.fsync(file.fileno())
            except OSError:
                # Half a line may stand at the end, and what a failed fsync leaves is not known.
                self._file = None
                with suppress(OSError):
                    file.truncate(self._good)
                file.close()
                raise
            self._good += len(content)
        return refusals

    def probe(self) -> None:
        """See whether a file can be made and written."""
        path = self._folder / f".{uuid7()}.probe"
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            path.write_bytes(b" " * 16_384)
        finally:
            path.unlink(missing_ok=True)

    def ping(self) -> None:
        """Nothing: the folder is looked at when it is needed."""

    def close(self) -> None:
        """Let go of the file, so that another process can take it over."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _open(self) -> IO[bytes]:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{uuid7()}{SUFFIX}"
        partial = path.with_suffix(".partial")
        # Unbuffered: after an error nothing is left that a later write would bring along.
        self._file = partial.open("xb", buffering=0)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        # Only now can others find it: were it not locked yet, they would take it over.
        partial.rename(path)
        self._good = 0
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            # The name of the file must be as durable as what is in it.
            os.fsync(folder)
        finally:
            os.close(folder)
        return self._file

    def names(self) -> list[Path]:
        """The files with rows, oldest first: one's own and those of others."""
        return sorted(self._folder.glob(f"*{SUFFIX}"))

    def take(self) -> Generator["Taken"]:
        """Files whose rows are to go into the database, oldest first, one's own included."""
        self.close()
        for path in self.names():
            with suppress(FileNotFoundError), path.open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                yield Taken(path, file)


def _write_all(file: IO[bytes], content: bytes) -> None:
    if file.write(content) != len(content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Taken:
    """A file of rows that nobody writes to any more."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._path = path
        self._file = file
        self._aside = path.with_suffix(".refused")
        self._refused: list[bytes] = []

    def chunks(self) -> Iterator[list[Row]]:
        """Its rows, some at a time; a half-written last line was never acknowledged.

        A line that is no row any more, whatever has changed it, is set aside.
        """
        self._file.seek(0)
        self._refused.clear()
        whole = (line for line in self._file if line.endswith(b"\n"))
        while lines := list(islice(whole, CHUNK)):
            rows = [row for line in lines if (row := self._row(line)) is not None]
            if rows:
                yield rows

    def _row(self, line: bytes) -> Row | None:
        try:
            # Of an older version of the server, whose rows may have had fewer columns.
            row: Row = {**_EMPTY, **orjson.loads(line)}
        except (orjson.JSONDecodeError, TypeError) as error:
            self._set_aside(line, "a line", str(error))
            return None
        why = refusal(row)
        if why is not None:
            self._set_aside(line, f"prediction {row['id']}", why)
            return None
        return row

    def refuse(self, row: Row, why: str) -> None:
        """Set a row aside that the database does not take."""
        self._set_aside(orjson.dumps(row, option=_LINE), f"prediction {row['id']}", why)

    def _set_aside(self, line: bytes, what: str, why: str) -> None:
        log.error("%s stays in %s: %s", what, self._aside, why)
        self._refused.append(line)

    def remove(self) -> None:
        """Its rows are in the database, or aside."""
        if self._refused:
            with self._aside.open("wb") as file:
                file.writelines(self._refused)
                file.flush()
                os.fsync(file.fileno())
        self._path.unlink(missing_ok=True)
