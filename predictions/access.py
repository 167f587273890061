"""Threads for the database: however slow it is, the event loop and other work stay free."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from predictions import sqlite_files
from predictions.engine import LogDownError, reason

_T = TypeVar("_T")


class Threads:
    """Daemon threads: unlike an executor's, they let the process end while a database hangs.

    Args:
        name: of the threads.
        count: how many calls run at once; others wait.
    """

    def __init__(self, name: str, count: int = 1) -> None:
        # Pairs of a future and its function; None ends the threads.
        self._jobs: SimpleQueue[Any] = SimpleQueue()
        for _ in range(count):
            threading.Thread(target=self._work, name=name, daemon=True).start()

    def run(self, function: Callable[[], _T]) -> asyncio.Future[_T]:
        """Call a function in a thread; if its result is cancelled before it begins, not at all."""
        # A future of asyncio alone: one that threads can wait for costs each commit 30 us more.
        future: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        self._jobs.put((future, function))
        return future

    def close(self) -> None:
        """End the threads, once what was handed to them is done."""
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, function = job
            if future.cancelled():
                continue
            result, error = None, None
            try:
                result = function()
            except Exception as raised:  # noqa: BLE001  # is raised again where it is awaited
                error = raised
            # If the loop has ended while the database hung, nobody waits any more.
            with suppress(RuntimeError):
                future.get_loop().call_soon_threadsafe(_settle, future, result, error)
        # So that the next thread ends too.
        self._jobs.put(None)


def _settle(future: "asyncio.Future[Any]", result: object, error: Exception | None) -> None:
    if future.cancelled():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)


class Access:
    """Runs functions of a connection, each in a transaction, for callers that wait a limited time.

    Args:
        engine: to connect with.
        threads: how many functions run at once; others wait.
        timeout: seconds that a caller waits.
    """

    def __init__(self, engine: Engine, threads: int, timeout: float) -> None:
        self.engine = engine
        self._timeout = timeout
        self._threads = Threads("prediction-log-access", threads)

    async def run(self, function: Callable[[Connection], _T]) -> _T:
        """The result of a function, once its transaction is committed.

        Raises:
            LogDownError: the database is away or slow; a change may have been committed all the
                same.
        """
        try:
            async with asyncio.timeout(self._timeout):
                return await self._threads.run(lambda: self._run(function))
        except TimeoutError:
            raise LogDownError(f"no answer for {self._timeout:g} s") from None
        except SQLAlchemyError as error:
            raise LogDownError(reason(error)) from None

    def _run(self, function: Callable[[Connection], _T]) -> _T:
        with self.engine.connect() as connection:
            with connection.begin():
                result = function(connection)
            # Rows in a file that has been removed are not durable.
            sqlite_files.check(connection.info)
            return result

    def close(self) -> None:
        """End, without waiting for what still runs."""
        self._threads.close()
        self.engine.dispose()
