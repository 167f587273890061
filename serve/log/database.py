"""The database as a place where rows are made durable: one connection, one thread."""

from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Engine, PoolProxiedConnection
from uuid_utils import uuid7

from serve.log import migrate
from serve.log.commit import reason
from serve.log.schema import Row, moment, prediction_logs

COLUMNS = tuple(prediction_logs.columns.keys())

TOGETHER = 64
"""Most rows of one statement: for every number up to it a prepared statement is kept."""

_values = itemgetter(*COLUMNS)

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
        self._statements: dict[int, str] = {}
        self._verified = False
        driver = engine.dialect.loaded_dbapi
        # Of the values themselves; ValueError: text that is no Unicode.
        self._refusals = (driver.DataError, driver.IntegrityError, ValueError, OverflowError)
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
            cursor.execute(self._begin)
            cursor.execute(self._statement(1), _values(row))
            # Our own names and an id of our own.
            cursor.execute(f"DELETE FROM {prediction_logs.name} WHERE id = '{row['id']}'")  # noqa: S608
            cursor.execute("COMMIT")
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
        if self._connection is None:
            if not self._verified:
                migrate.ensure(self._engine)
                self._verified = True
            self._connection = self._engine.raw_connection()
            driver: Any = self._connection.driver_connection
            # A statement is a transaction: one trip to the database, and one release of the
            # interpreter's lock. Each more would wait for the busy loop to let go of it.
            if hasattr(driver, "autocommit") and self._engine.dialect.name == "postgresql":
                driver.autocommit = True
        return self._connection.cursor()

    def _insert(self, rows: Sequence[Row]) -> None:
        cursor = self._cursor()
        if len(rows) <= TOGETHER:
            self._execute(cursor, rows)
            return
        cursor.execute(self._begin)
        try:
            for part in _parts(rows):
                self._execute(cursor, part)
        except self._refusals:
            cursor.execute("ROLLBACK")
            raise
        cursor.execute("COMMIT")

    def _execute(self, cursor: Any, rows: Sequence[Row]) -> None:
        values: list[Any] = []
        for row in rows:
            values.extend(_values(row))
        cursor.execute(self._statement(len(rows)), values)

    def _statement(self, rows: int) -> str:
        """The insertion of so many rows."""
        found = self._statements.get(rows)
        if found is None:
            mark = "?" if self._engine.dialect.paramstyle == "qmark" else "%s"
            row = f"({', '.join([mark] * len(COLUMNS))})"
            names = ", ".join(COLUMNS)
            found = self._statements[rows] = (
                f"INSERT INTO {prediction_logs.name} ({names}) "  # noqa: S608  # our own names
                f"VALUES {', '.join([row] * rows)} ON CONFLICT (id) DO NOTHING"
            )
        return found


def _parts(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    for start in range(0, len(rows), TOGETHER):
        yield rows[start : start + TOGETHER]
