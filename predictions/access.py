"""Questions to the prediction log that no answer to a forecast waits for, on threads of their own.

However slow the database is, the loop stays free, and so do the threads of other work.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from predictions.group_commit import LogDownError, reason

_T = TypeVar("_T")


class Access:
    """Runs functions of a connection, each in a transaction.

    Args:
        engine: to connect with.
        threads: how many run at once; others wait.
        timeout: seconds that the caller waits.
    """

    def __init__(self, engine: Engine, threads: int, timeout: float) -> None:
        self.engine = engine
        self._timeout = timeout
        self._threads = ThreadPoolExecutor(threads, "prediction-log-access")

    async def run(self, work: Callable[[Connection], _T]) -> _T:
        """The outcome of a function, once its transaction is committed.

        Raises:
            LogDownError: the database is away or slow; what was written may yet be there.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout):
                return await loop.run_in_executor(self._threads, self._run, work)
        except TimeoutError:
            raise LogDownError(f"no answer for {self._timeout:g} s") from None
        except SQLAlchemyError as error:
            raise LogDownError(reason(error)) from None

    def _run(self, work: Callable[[Connection], _T]) -> _T:
        with self.engine.begin() as connection:
            return work(connection)

    def close(self) -> None:
        """End; what runs is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self.engine.dispose()
