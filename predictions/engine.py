"""Connections to the prediction log, SQLite in WAL mode or PostgreSQL, with bounds on all waits."""

import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DisconnectionError, SQLAlchemyError

from predictions.group_commit import reason
from stages.common.errors import StageError

STATEMENTS = 128
"""Prepared statements that a connection keeps: one for each number of rows that go together."""

READERS = 4
"""Connections for reading that one process opens at most."""

_FILE = "file"
_PAUSE = 0.01
_OPERATIONS = 10_000


class LogError(StageError):
    """The prediction log cannot be used as it is set up."""


def connect(
    url: str, timeout: float = 5.0, *, read_only: bool = False, bounded: bool = True
) -> Engine:
    """An engine for a log.

    Args:
        url: of the database, as SQLAlchemy writes it.
        timeout: seconds that a statement may wait for others or for the network.
        read_only: transactions that neither write nor keep a writer waiting.
        bounded: whether a statement's own work (SQLite: of a whole reading transaction) may take no
            longer either.

    Raises:
        LogError: the URL is none, or of another database; the folder of SQLite cannot be made.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise LogError(
            "DATABASE_URL is no URL of a database; such as postgresql://user@host/name"
        ) from None
    match parsed.get_backend_name():
        case "sqlite":
            return _sqlite(parsed, timeout, read_only, bounded)
        case "postgresql":
            return _postgresql(parsed, timeout, read_only, bounded)
        case other:
            raise LogError(f"DATABASE_URL names {other}; the log can be SQLite or PostgreSQL")


@contextmanager
def opened(
    url: str, timeout: float, *, read_only: bool = False, bounded: bool = True
) -> Iterator[Engine]:
    """An engine for the time of a command.

    Raises:
        LogError: as `connect`; or the database cannot be had, or refuses what is asked.
    """
    engine = connect(url, timeout, read_only=read_only, bounded=bounded)
    place = engine.url.render_as_string(hide_password=True)
    try:
        if read_only:
            _check_file(engine.url)
        yield engine
    except SQLAlchemyError as error:
        raise LogError(f"{place}: {reason(error)}") from None
    finally:
        engine.dispose()


def _check_file(url: URL) -> None:
    # SQLite would make a new one.
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        raise LogError(
            f"there is no prediction log at {url.database}; run this where the server runs, with "
            "its DATABASE_URL and SERVE_ROOT"
        )


def _sqlite(url: URL, timeout: float, read_only: bool, bounded: bool) -> Engine:
    database = url.database or ""
    try:
        # A URI is no path; whoever writes one has made the folder.
        if not ("uri" in url.query and database.startswith("file:")):
            Path(database).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LogError(f"the prediction log {url.database} cannot be made: {error}") from None
    engine = create_engine(
        url,
        pool_size=READERS,
        max_overflow=0,
        pool_timeout=timeout,
        connect_args={"timeout": timeout, "cached_statements": STATEMENTS},
    )

    def set_up(connection: sqlite3.Connection, record: Any) -> None:
        # SQLAlchemy, not sqlite3, says when a transaction begins.
        connection.isolation_level = None
        _use_wal(connection, timeout)
        # With NORMAL the last commits are lost when the power fails.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        if read_only:
            connection.execute("PRAGMA query_only = ON")
        record.info[_FILE] = (url.database, _identity(url.database))

    def check_out(_: Any, record: Any, __: Any) -> None:
        if was_replaced(record.info):
            raise DisconnectionError("the file has been removed or replaced")

    def begin(connection: Any) -> None:
        # Two readers that both become writers cannot wait for each other.
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
        if read_only and bounded:
            deadline = time.monotonic() + timeout
            connection.connection.driver_connection.set_progress_handler(
                lambda: time.monotonic() > deadline, _OPERATIONS
            )

    event.listen(engine, "connect", set_up)
    event.listen(engine, "checkout", check_out)
    event.listen(engine, "begin", begin)
    return engine


def was_replaced(info: Mapping[str, Any]) -> bool:
    """Whether the file of a connection is no more the one at its path.

    SQLite would go on with a file that has no name any more, and lose all at the end.

    Args:
        info: of the connection, as the pool keeps it.
    """
    path, identity = info.get(_FILE, (None, None))
    return bool(_identity(path) != identity)


def _identity(path: str | None) -> tuple[int, int] | None:
    try:
        found = os.stat(path or "")  # noqa: PTH116  # on the way of every commit
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _use_wal(connection: sqlite3.Connection, timeout: float) -> None:
    """Switch a new file to WAL; SQLite itself does not wait for others that do so just now."""
    deadline = time.monotonic() + timeout
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE)
        else:
            return


def _postgresql(url: URL, timeout: float, read_only: bool, bounded: bool) -> Engine:
    milliseconds = round(timeout * 1000)
    longest = str(milliseconds if bounded else 0)
    options = {
        # An answer must not leave before its row is on the disk, whatever the database's default.
        "synchronous_commit": "on",
        "timezone": "UTC",
        "statement_timeout": longest,
        "lock_timeout": longest,
        "default_transaction_read_only": "on" if read_only else "off",
    }
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=READERS,
        max_overflow=0,
        pool_pre_ping=True,
        pool_timeout=timeout,
        connect_args={
            "connect_timeout": max(2, round(timeout)),
            "tcp_user_timeout": milliseconds,
            "options": " ".join(f"-c {name}={value}" for name, value in options.items()),
        },
    )
    if bounded:
        from predictions.bounded import connection_class

        waiting = connection_class(timeout)

        def do_connect(_: Any, __: Any, given: Any, named: Any) -> Any:
            return waiting.connect(*given, **named)

        event.listen(engine, "do_connect", do_connect)
    return engine
