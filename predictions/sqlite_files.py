"""The files of a log in SQLite: rows that went into a removed file do not count as durable.

SQLite goes on writing to a file that has been removed, and its rows are lost when it is closed. A
new connection beside such a one is worse: it mixes the former `-shm` with a new `-wal`. So a
process must first close all of its connections. The last one brings what is in a removed `-wal`
into the database (SQLite, "How To Corrupt An SQLite Database File", 2.4).
"""

import os
import sqlite3
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DisconnectionError, SQLAlchemyError

Identities = tuple[tuple[int, int] | None, ...]
"""Device and inode of a database, of its `-wal` and of its `-shm`; None for one that is absent."""

_REPLACED = "a file of the log has been removed or replaced while it was in use"

_CLOSING = 0.5
"""Seconds that a process may take to close a log."""

_in_use: dict[int, tuple[str, Identities]] = {}
"""The files of each connection that this process has: the path, and what was there."""


def watch(engine: Engine, path: str) -> None:
    """Keep an engine from opening mixed files, and from using connections to replaced files."""

    def opened(connection: sqlite3.Connection, record: Any) -> None:
        # This creates all files, which then stay as long as the connection.
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        record.info["files"] = _in_use[id(connection)] = (path, _identities(path))

    def checked_in(_: Any, record: Any) -> None:
        if replaced(record.info):
            record.invalidate()

    event.listen(engine, "do_connect", lambda *_: _check_unmixed(path))
    event.listen(engine, "connect", opened)
    event.listen(engine, "checkout", lambda _, record, __: check(record.info))
    event.listen(engine, "checkin", checked_in)
    event.listen(engine, "close", lambda connection, _: _in_use.pop(id(connection), None))


def replaced(info: Mapping[str, Any]) -> bool:
    """Whether another file, or none, now stands at the path of a file that a connection has open.

    Args:
        info: of the connection, as the pool keeps it; never so for a database other than SQLite.
    """
    if "files" not in info:
        return False
    path, identities = info["files"]
    return bool(_identities(path) != identities)


def check(info: Mapping[str, Any]) -> None:
    """Check that a connection still has the files at its path.

    Raises:
        DisconnectionError: one has been removed or replaced.
    """
    if replaced(info):
        raise DisconnectionError(_REPLACED)


def rescue(connection: Connection) -> None:
    """Bring what is in a removed `-wal` into the database, unless another has been made since.

    Other processes may still have it open, and then closing it would not.
    """
    path, (database, *_) = connection.info.get("files", (None, (None,)))
    if path is not None and _identity(path) == database and _identity(f"{path}-wal") is None:
        with suppress(SQLAlchemyError):
            connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").close()


def _check_unmixed(path: str) -> None:
    """Check that no connection is open to former files.

    Raises:
        sqlite3.OperationalError: this process has one; or another process has, which shows in a
            `-shm` without its `-wal`.
    """
    deadline = time.monotonic() + _CLOSING
    while True:
        # Other threads open and close connections meanwhile: only one that was open before and
        # after the look at the files tells something.
        before = dict(_in_use)
        now = _identities(path)
        open_still = [files for key, files in before.items() if _in_use.get(key) is files]
        if any(name == path and former != now for name, former in open_still):
            raise sqlite3.OperationalError(_REPLACED)
        _, wal, shm = now
        if shm is None or wal is not None:
            return
        if time.monotonic() > deadline:
            raise sqlite3.OperationalError(
                f"{path}-shm is there without {path}-wal; if nothing uses the log any more, "
                "remove it"
            )
        # The last process that closes the log removes one after the other.
        time.sleep(0.01)


def _identities(path: str) -> Identities:
    return tuple(map(_identity, (path, f"{path}-wal", f"{path}-shm")))


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116  # on the way of every commit
    except OSError:
        return None
    return status.st_dev, status.st_ino
