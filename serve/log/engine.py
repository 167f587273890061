"""Connections to the prediction log, SQLite in WAL mode or PostgreSQL, with bounds on all waits."""

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from stages.errors import StageError

STATEMENTS = 512
"""Prepared statements that a connection keeps: one for each number of rows that go together."""


class LogError(StageError):
    """The prediction log cannot be used as it is set up."""


def connect(url: str, timeout: float = 5.0) -> Engine:
    """An engine for a log.

    Args:
        url: of the database, as SQLAlchemy writes it.
        timeout: seconds that a statement may wait for others or for the network.

    Raises:
        LogError: the URL is none, or of another database.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise LogError(
            "DATABASE_URL is no URL of a database; such as postgresql://user@host/name"
        ) from None
    match parsed.get_backend_name():
        case "sqlite":
            if parsed.database:
                Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
            engine = create_engine(
                parsed, connect_args={"timeout": timeout, "cached_statements": STATEMENTS}
            )
            event.listen(engine, "connect", _set_up_sqlite)
            event.listen(engine, "begin", _begin_immediate)
            return engine
        case "postgresql":
            milliseconds = max(1, int(timeout * 1000))
            return create_engine(
                parsed.set(drivername="postgresql+psycopg"),
                pool_pre_ping=True,
                pool_timeout=timeout,
                connect_args={
                    "connect_timeout": max(2, round(timeout)),
                    "tcp_user_timeout": milliseconds,
                    "options": f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds}"
                    " -c timezone=UTC",
                },
            )
        case other:
            raise LogError(f"DATABASE_URL names {other}; the log can be SQLite or PostgreSQL")


def _set_up_sqlite(connection: sqlite3.Connection, _: Any) -> None:
    # SQLAlchemy, not sqlite3, says when a transaction begins.
    connection.isolation_level = None
    for pragma in (
        "journal_mode = WAL",
        # With NORMAL the last commits are lost when the power fails.
        "synchronous = FULL",
        "foreign_keys = ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: Any) -> None:
    # Two readers that both become writers cannot wait for each other.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
