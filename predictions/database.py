"""The writer of the prediction log: rows in, one commit for all of them."""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import chain
from operator import itemgetter
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, delete
from sqlalchemy.exc import DisconnectionError
from uuid_utils import uuid7

from predictions import migrate, sqlite_files
from predictions.engine import autocommit, reason
from predictions.schema import Row, moment, prediction_logs

TOGETHER = 64
"""Most rows of one statement of SQLite: it keeps a prepared statement for each number of rows."""

COLUMNS = tuple(prediction_logs.columns.keys())
_values = itemgetter(*COLUMNS)

_NAMES = ", ".join(COLUMNS)
_INSERT = f"INSERT INTO {prediction_logs.name} ({_NAMES})"
_ONCE = "ON CONFLICT (id) DO NOTHING"
# The names are constants of `schema`.
_FROM_JSON = (
    f"{_INSERT} SELECT {_NAMES} FROM "  # noqa: S608
    f"json_populate_recordset(NULL::{prediction_logs.name}, %s) {_ONCE}"
)

_PROBE: Row = {
    str(column.name): None if column.nullable else column.type.python_type(0)
    for column in prediction_logs.columns
    if column.name != "created_at"
    # Larger than a page, so that a full disk is noticed.
} | {"inputs": " " * 16_384}


class Database:
    """Writes rows of `prediction_logs`, each once however often it is sent; for one thread.

    Args:
        engine: of the log.
        others: engines of this process for the same log. If its files are replaced, all their
            connections must be closed before one is opened.
    """

    def __init__(self, engine: Engine, *others: Engine) -> None:
        self._engine = engine
        self._engines = (engine, *others)
        self._autocommit = autocommit(engine)
        self._json = engine.dialect.name == "postgresql"
        driver = engine.dialect.loaded_dbapi
        # The last three: texts that are not Unicode, and numbers that are too large.
        self._refusals = (
            *(driver.DataError, driver.IntegrityError),
            *(ValueError, orjson.JSONEncodeError, OverflowError),
        )
        self._connection: Connection | None = None

    def write(self, entries: Sequence[Sequence[Row]]) -> Sequence[str | None]:
        """Write entries, all in one commit; returns for each why it was refused, or None.

        Raises:
            Exception: no entry is known to be durable.
        """
        rows = [row for entry in entries for row in entry]
        try:
            self._run(lambda connection: self._insert(connection, rows))
        except self._refusals as error:
            if len(entries) == 1:
                return [reason(error)]
            # A symbol of the user's own files may be refused: it must not fail other requests.
            half = len(entries) // 2
            return [*self.write(entries[:half]), *self.write(entries[half:])]
        return [None] * len(entries)

    def probe(self) -> None:
        """Write a row and delete it, in one transaction on new connections."""
        self._drop()
        row = {**_PROBE, "id": str(uuid7()), "created_at": moment()}
        info = self._connect().info
        with self._engine.begin() as connection:
            self._execute(connection, [row])
            connection.execute(delete(prediction_logs).where(prediction_logs.c.id == row["id"]))
        sqlite_files.check(info)

    def ping(self) -> None:
        """Check that the database answers."""
        self._run(lambda connection: connection.connection.cursor().execute("SELECT 1"))

    def close(self) -> None:
        """Drop the connection; the next statement opens one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()

    def _drop(self) -> None:
        """Drop all connections of this process that are not in use."""
        if self._connection is not None and sqlite_files.replaced(self._connection.info):
            sqlite_files.rescue(self._connection)
        self.close()
        for engine in self._engines:
            engine.dispose()

    def _run(self, work: Callable[[Connection], object]) -> None:
        """Do some work; if the connection turns out to be lost, once more on a new one.

        A commit whose answer was lost is sent again, and does nothing if it was done.
        """
        is_new = self._connection is None
        try:
            connection = self._connect()
            work(connection)
            # Rows in a file that has been removed are not durable.
            sqlite_files.check(connection.info)
        except self._refusals:
            raise
        except Exception as error:
            is_lost = self._is_lost(error)
            self._drop()
            if is_new or not is_lost:
                raise
            self._run(work)

    def _is_lost(self, error: Any) -> bool:
        """Whether an error says that the connection is of no use any more."""
        if isinstance(error, DisconnectionError):
            return True
        driver: Any = self._connection and self._connection.connection.dbapi_connection
        return self._engine.dialect.is_disconnect(error, driver, None)

    def _connect(self) -> Connection:
        if self._connection is not None and sqlite_files.replaced(self._connection.info):
            self._drop()
        if self._connection is None:
            migrate.ensure(self._engine)
            self._connection = self._autocommit.connect()
        return self._connection

    def _insert(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Insert rows, in one statement wherever that is possible.

        A statement is a transaction: one trip to the database, and one release of the interpreter's
        lock. Each further statement would wait until the busy event loop releases it.
        """
        if self._json or len(rows) <= TOGETHER:
            self._execute(connection, rows)
            return
        with self._engine.begin() as transaction:
            for start in range(0, len(rows), TOGETHER):
                self._execute(transaction, rows[start : start + TOGETHER])

    def _execute(self, connection: Connection, rows: Sequence[Row]) -> None:
        # The driver's cursor: SQLAlchemy's takes a third longer, and no request goes on meanwhile.
        cursor = connection.connection.cursor()
        if self._json:
            # JSON takes the client a fifth of the time that single values take.
            cursor.execute(_FROM_JSON, (orjson.dumps(rows).decode(),))
        else:
            values = tuple(chain.from_iterable(map(_values, rows)))
            cursor.execute(_from_values(len(rows)), values)


@cache
def _from_values(rows: int) -> str:
    row = f"({', '.join('?' * len(COLUMNS))})"
    return f"{_INSERT} VALUES {', '.join([row] * rows)} {_ONCE}"
