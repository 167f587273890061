"""Group commit: answers wait until their rows are durable, and one commit serves all that wait.

One thread writes. While a commit is on its way to the disk, the rows of further requests gather,
and go together into the next one (DeWitt et al., 1984): the more requests, the fewer commits each.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, PoolProxiedConnection

from serve.log.schema import Row, prediction_logs

COLUMNS = tuple(prediction_logs.columns.keys())

TOGETHER = 256
"""Most rows of one statement: SQLite takes 32,766 values, PostgreSQL 65,535."""

SWEEP = 0.1
"""Seconds between looks for answers that have waited too long."""


class LogDownError(Exception):
    """Rows are not known to be durable: the database is away, slow, or too much is waiting."""


@dataclass(frozen=True)
class _Entry:
    rows: Sequence[Row]
    done: "asyncio.Future[None]"
    deadline: float


class LogWriter:
    """Makes rows of `prediction_logs` durable.

    Args:
        engine: of the log.
        timeout: seconds that rows may wait to be durable.
        backlog: entries that may wait.
    """

    def __init__(self, engine: Engine, timeout: float, backlog: int) -> None:
        self._engine = engine
        self._timeout = timeout
        self._backlog = backlog
        self._entries: deque[_Entry] = deque()
        self._waiting: deque[_Entry] = deque()
        self._wake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="prediction-log", daemon=True)
        self._connection: PoolProxiedConnection | None = None
        self._statements: dict[int, str] = {}
        self.problem: str | None = None
        """Why rows cannot be written now; None while they can."""

    async def start(self) -> None:
        """Begin to write."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        self._sweeper = self._loop.create_task(self._sweep())

    async def stop(self) -> None:
        """Write what waits, and end."""
        self._closing = True
        self._wake.set()
        await asyncio.to_thread(self._thread.join, self._timeout)
        self._sweeper.cancel()

    @property
    def queue(self) -> int:
        """Entries that wait."""
        return len(self._waiting)

    async def append(self, rows: Sequence[Row]) -> None:
        """Return once the rows are durable.

        Raises:
            LogDownError: they are not known to be. They may become durable later.
        """
        if len(self._waiting) >= self._backlog:
            raise LogDownError(f"{len(self._waiting):,} answers wait for the prediction log")
        done = self._loop.create_future()
        entry = _Entry(rows, done, self._loop.time() + self._timeout)
        self._waiting.append(entry)
        self._entries.append(entry)
        self._wake.set()
        await done

    async def _sweep(self) -> None:
        """Give up on entries that have waited too long, oldest first."""
        while True:
            await asyncio.sleep(SWEEP)
            waiting, now = self._waiting, self._loop.time()
            while waiting and (waiting[0].done.done() or waiting[0].deadline <= now):
                entry = waiting.popleft()
                if not entry.done.done():
                    self.problem = f"no answer for {self._timeout:g} s"
                    entry.done.set_exception(LogDownError(self.problem))

    def _work(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            while self._entries:
                batch = [self._entries.popleft() for _ in range(len(self._entries))]
                self._write([entry for entry in batch if not entry.done.done()])
            if self._closing and not self._entries:
                self._drop_connection()
                return

    def _write(self, batch: Sequence[_Entry]) -> None:
        rows = [row for entry in batch for row in entry.rows]
        if not rows:
            return
        try:
            self._commit(rows)
            problem = None
        except Exception as error:  # noqa: BLE001  # a thread that ends would block every answer
            problem = _reason(error)
        self.problem = problem
        self._tell(batch, problem)

    def _commit(self, rows: Sequence[Row]) -> None:
        try:
            if self._connection is None:
                self._connection = self._engine.raw_connection()
                # A statement is a transaction: one trip to the database, and one release of the
                # interpreter's lock. Each more would wait for the busy loop to let go of it.
                _autocommit(self._connection)
            cursor = self._connection.cursor()
            for start in range(0, len(rows), TOGETHER):
                part = rows[start : start + TOGETHER]
                values = [row[name] for row in part for name in COLUMNS]
                cursor.execute(self._statement(len(part)), values)
        except BaseException:
            self._drop_connection()
            raise

    def _statement(self, rows: int) -> str:
        """The insertion of so many rows."""
        if rows not in self._statements:
            mark = "?" if self._engine.dialect.paramstyle == "qmark" else "%s"
            row = f"({', '.join([mark] * len(COLUMNS))})"
            names = ", ".join(COLUMNS)
            self._statements[rows] = (
                f"INSERT INTO {prediction_logs.name} ({names}) "  # noqa: S608  # our own names
                f"VALUES {', '.join([row] * rows)}"
            )
        return self._statements[rows]

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()

    def _tell(self, batch: Sequence[_Entry], problem: str | None) -> None:
        def tell() -> None:
            for entry in batch:
                if entry.done.done():
                    continue
                if problem is None:
                    entry.done.set_result(None)
                else:
                    entry.done.set_exception(LogDownError(problem))
            # Those in front are done by now.
            while self._waiting and self._waiting[0].done.done():
                self._waiting.popleft()

        self._call(tell)

    def _call(self, function: Callable[[], None]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function)


def _reason(error: Exception) -> str:
    """The first line of what the database said, without the statement and its rows."""
    text = str(getattr(error, "orig", None) or error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _autocommit(connection: PoolProxiedConnection) -> None:
    driver: Any = connection.driver_connection
    # sqlite3 is set up so by `connect`; psycopg is told here.
    if hasattr(driver, "pgconn"):
        driver.autocommit = True
