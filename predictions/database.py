"""The database as a place where rows are made durable: one connection, one thread."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import chain
from operator import itemgetter
from typing import Any

import orjson
from sqlalchemy import Engine, PoolProxiedConnection
from uuid_utils import uuid7

from predictions import migrate
from predictions.engine import was_replaced
from predictions.group_commit import reason
from predictions.schema import Row, moment, prediction_logs

COLUMNS = tuple(prediction_logs.columns.keys())

TOGETHER = 64
"""Most rows of one statement: for every number up to it a prepared statement is kept."""

_values = itemgetter(*COLUMNS)

_NAMES = ", ".join(COLUMNS)
_INSERT = f"INSERT INTO {prediction_logs.name} ({_NAMES})"
_ONCE = "ON CONFLICT (id) DO NOTHING"
# Our own names.
_FROM_JSON = (
    f"{_INSERT} SELECT {_NAMES} FROM "  # noqa: S608
    f"json_populate_recordset(NULL::{prediction_logs.name}, %s) {_ONCE}"
)

_PROBE: Row = {
    **dict.fromkeys(("request_id", "source", "symbol", "horizon", "revision", "model_md5"), "-"),
    **dict.fromkeys(("predicted_return", "lower", "upper", "level", "probability", "scale"), 0.0),
    **dict.fromkeys(("client", "as_of", "target_date", "last_close", "model_version"), None),
    "symbol_index": None,
    "sessions": 0,
    # Larger than a page, so that a full disk is noticed.
    "inputs": " " * 16_384,
}


class Database:
    """Writes rows of `prediction_logs`, each once however often it is sent.

    Args:
        engine: of the log.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: PoolProxiedConnection | None = None
        self._verified = False
        driver = engine.dialect.loaded_dbapi
        # Of the values themselves; the last three are of texts that are no Unicode, and of numbers.
        self._refusals = (
            *(driver.DataError, driver.IntegrityError),
            *(ValueError, orjson.JSONEncodeError, OverflowError),
        )
        self._begin = "BEGIN IMMEDIATE" if engine.dialect.name == "sqlite" else "BEGIN"

    def write(self, entries: Sequence[Sequence[Row]]) -> Sequence[str | None]:
        """Write entries, all in one commit; returns for each why it was refused, or None.

        Where the connection is lost, a new one is tried at once: a commit whose answer was lost is
        sent again, and does nothing if it was done.
        """
        rows = [row for entry in entries for row in entry]
        try:
            self._again_if_lost(lambda: self._insert(rows))
        except self._refusals as error:
            if len(entries) == 1:
                return [reason(error)]
            # One bad row must not fail the others: halve until it stands alone.
            half = len(entries) // 2
            return [*self.write(entries[:half]), *self.write(entries[half:])]
        return [None] * len(entries)

    def probe(self) -> None:
        """Write a row and delete it, in one transaction."""
        self.close()
        row = {**_PROBE, "id": str(uuid7()), "created_at": moment()}
        try:
            cursor = self._cursor()
            with self._transaction(cursor):
                self._insert([row])
                # Our own names and an id of our own.
                cursor.execute(f"DELETE FROM {prediction_logs.name} WHERE id = '{row['id']}'")  # noqa: S608
        except BaseException:
            self.close()
            raise

    def ping(self) -> None:
        """Ask for an answer."""
        self._again_if_lost(lambda: self._cursor().execute("SELECT 1"))

    def close(self) -> None:
        """Drop the connection; the next statement opens one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()

    def _again_if_lost(self, work: Callable[[], object]) -> None:
        fresh = self._connection is None
        try:
            try:
                work()
            except self._refusals:
                raise
            except Exception:
                if fresh or not self._lost():
                    raise
                self.close()
                work()
        except self._refusals:
            raise
        except BaseException:
            self.close()
            raise

    def _lost(self) -> bool:
        """Whether the server has closed the connection; not that it is too slow to answer."""
        driver: Any = self._connection and self._connection.driver_connection
        return getattr(driver, "broken", False) and not getattr(driver, "overdue", False)

    def _cursor(self) -> Any:
        if self._connection is not None and was_replaced(self._connection.info):
            self.close()
            self._verified = False
        if self._connection is None:
            if not self._verified:
                migrate.ensure(self._engine)
                self._verified = True
            self._connection = self._engine.raw_connection()
            driver: Any = self._connection.driver_connection
            # `connect` has told sqlite3 the same.
            if self._engine.dialect.name == "postgresql":
                driver.autocommit = True
        return self._connection.cursor()

    def _insert(self, rows: Sequence[Row]) -> None:
        """Insert rows, in one statement wherever that is possible.

        A statement is a transaction: one trip to the database, and one release of the interpreter's
        lock. Each more would wait for the busy loop to let go of it.
        """
        cursor = self._cursor()
        if self._engine.dialect.name == "postgresql":
            # A fifth of the client's work that values one by one are.
            cursor.execute(_FROM_JSON, (orjson.dumps(rows).decode(),))
        elif len(rows) <= TOGETHER:
            self._insert_values(cursor, rows)
        else:
            with self._transaction(cursor):
                for start in range(0, len(rows), TOGETHER):
                    self._insert_values(cursor, rows[start : start + TOGETHER])

    def _insert_values(self, cursor: Any, rows: Sequence[Row]) -> None:
        cursor.execute(_from_values(len(rows)), [*chain.from_iterable(map(_values, rows))])

    @contextmanager
    def _transaction(self, cursor: Any) -> Iterator[None]:
        cursor.execute(self._begin)
        try:
            yield
        except self._refusals:
            cursor.execute("ROLLBACK")
            raise
        cursor.execute("COMMIT")


@cache
def _from_values(rows: int) -> str:
    row = f"({', '.join('?' * len(COLUMNS))})"
    return f"{_INSERT} VALUES {', '.join([row] * rows)} {_ONCE}"
