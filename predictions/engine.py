"""Engines for the prediction log, SQLite in WAL mode or PostgreSQL, and the errors of the log."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from predictions import sqlite_files
from stages.common.errors import StageError

CONNECTIONS = 4
"""Connections that one engine opens at most."""

_AUTOCOMMIT = "AUTOCOMMIT"
_PAUSE = 0.01
_OPERATIONS = 10_000

_REMEDIES = {
    "unable to open database file": "check that its folder exists and the server may write to it",
    "attempt to write a readonly database": "let the server write to the file and into its folder",
    "database or disk is full": "free some space on its disk",
    "disk I/O error": "check that its disk works and has space",
    "database is locked": "another process holds it",
    "file is not a database": "move the file away, or name another by DATABASE_URL",
}
"""Remedies by what SQLite says."""


class LogError(StageError):
    """The prediction log cannot be used as it is set up."""


class LogDownError(StageError):
    """The database is away or slow, or too many rows wait; rows are not known to be durable."""


class LogRefusedError(StageError):
    """The database is well, and refuses these rows."""


def reason(error: BaseException) -> str:
    """The first line of what the database said, without the statement and its rows."""
    text = str(getattr(error, "orig", None) or error).strip()
    line = text.splitlines()[0] if text else type(error).__name__
    remedy = _REMEDIES.get(line)
    return f"{line}; {remedy}" if remedy else line


def connect(
    url: str, timeout: float = 5.0, *, read_only: bool = False, bounded: bool = True
) -> Engine:
    """An engine for a log.

    Args:
        url: of the database, as SQLAlchemy writes it.
        timeout: seconds that a statement may wait for a lock or for the network.
        read_only: whether its transactions only read, and keep no writer waiting.
        bounded: whether a statement (SQLite: a whole reading transaction) that works longer than
            the time-out is cancelled too.

    Raises:
        LogError: the URL is malformed or names another database; the folder of SQLite cannot be
            made.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise LogError(
            "DATABASE_URL is not the URL of a database; such as postgresql://user@host/name"
        ) from None
    match parsed.get_backend_name():
        case "sqlite":
            return _sqlite(parsed, timeout, read_only, bounded)
        case "postgresql":
            return _postgresql(parsed, timeout, read_only, bounded)
        case other:
            raise LogError(f"DATABASE_URL names {other}; the log can be SQLite or PostgreSQL")


def autocommit(engine: Engine) -> Engine:
    """The same engine, where each statement is a transaction of its own."""
    if engine.dialect.name == "postgresql":
        return engine.execution_options(isolation_level=_AUTOCOMMIT)
    # With `isolation_level` SQLAlchemy would undo how `_sqlite` sets its connections up.
    return engine.execution_options(begin=_AUTOCOMMIT)


def reading(engine: Engine) -> Connection:
    """A connection for a query of any length, that keeps no writer of SQLite waiting.

    A transaction of an engine that writes takes the lock of SQLite at its begin. In PostgreSQL,
    rows can only be fetched in parts within a transaction.
    """
    return (engine if engine.dialect.name == "postgresql" else autocommit(engine)).connect()


@contextmanager
def opened(
    url: str, timeout: float, *, read_only: bool = False, bounded: bool = True
) -> Iterator[Engine]:
    """An engine for the time of a command.

    Raises:
        LogError: as `connect`; or the database does not answer, or refuses a statement.
    """
    engine = connect(url, timeout, read_only=read_only, bounded=bounded)
    path = engine.url.database or ""
    try:
        # SQLite would make a new one.
        if read_only and engine.dialect.name == "sqlite" and not Path(path).exists():
            raise LogError(
                f"there is no prediction log at {path}; run this where the server runs, with its "
                "DATABASE_URL and SERVE_ROOT"
            )
        yield engine
    except SQLAlchemyError as error:
        raise LogError(f"{place(engine)}: {reason(error)}") from None
    finally:
        engine.dispose()


def place(engine: Engine) -> str:
    """The URL of a log, without its password."""
    secret = [name for name in engine.url.query if "password" in name]
    return engine.url.difference_update_query(secret).render_as_string(hide_password=True)


def _sqlite(url: URL, timeout: float, read_only: bool, bounded: bool) -> Engine:
    database = url.database or ""
    engine = create_engine(
        url,
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_timeout=timeout,
        # SQLAlchemy, not sqlite3, says when a transaction begins.
        connect_args={"timeout": timeout, "isolation_level": None},
    )

    def prepare(*_: Any) -> None:
        # A URI is not a path; its folder must be there already.
        if not ("uri" in url.query and database.startswith("file:")):
            # SQLite says what is wrong with the folder.
            with suppress(OSError):
                Path(database).parent.mkdir(parents=True, exist_ok=True)

    def set_up(connection: sqlite3.Connection, _: Any) -> None:
        _use_wal(connection, timeout)
        # With NORMAL the last commits are lost when the power fails.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        if read_only:
            connection.execute("PRAGMA query_only = ON")

    def begin(connection: Any) -> None:
        if connection.get_execution_options().get("begin") == _AUTOCOMMIT:
            return
        # Two readers that both become writers cannot wait for each other.
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
        if read_only and bounded:
            deadline = time.monotonic() + timeout
            connection.connection.driver_connection.set_progress_handler(
                lambda: time.monotonic() > deadline, _OPERATIONS
            )

    event.listen(engine, "do_connect", prepare)
    event.listen(engine, "connect", set_up)
    event.listen(engine, "begin", begin)
    sqlite_files.watch(engine, database)
    return engine


def _use_wal(connection: sqlite3.Connection, timeout: float) -> None:
    """Switch a new file to WAL; SQLite itself does not wait for others that switch it too."""
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
    seconds = max(1, round(timeout))
    options = {
        # An answer must not leave before its row is on the disk, whatever the database's default.
        "synchronous_commit": "on",
        "timezone": "UTC",
        "statement_timeout": str(milliseconds if bounded else 0),
        "default_transaction_read_only": "on" if read_only else "off",
    }
    return create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_pre_ping=True,
        pool_timeout=timeout,
        connect_args={
            "connect_timeout": max(2, seconds),
            # A host that has vanished sends nothing: these end the wait for its answer.
            "tcp_user_timeout": milliseconds,
            "keepalives_idle": seconds,
            "keepalives_interval": 1,
            "options": " ".join(f"-c {name}={value}" for name, value in options.items()),
        },
    )
