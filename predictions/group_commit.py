"""Group commit: answers wait until their rows are durable, and one commit serves all that wait.

While a commit is on its way to the disk, the rows of further requests gather, and go together into
the next one (DeWitt et al., 1984): the more requests, the fewer commits each. All state belongs to
the event loop; one thread does nothing but talk to the database.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal, NamedTuple

from predictions.access import Threads
from predictions.database import Database
from predictions.engine import LogDownError, LogRefusedError, reason
from predictions.schema import Row

log = logging.getLogger("predictions")

PROBE = 0.25
"""Seconds between attempts to write to a database that is away."""

IDLE = 5.0
"""Seconds between checks of a database that nobody writes to."""

_LEAVE = 1.0
"""Seconds that `stop` waits for the connection to be closed."""


class _Entry(NamedTuple):
    rows: Sequence[Row]
    beside: Sequence[Row]
    done: "asyncio.Future[None]"
    since: float


class GroupCommit:
    """Makes rows of `prediction_logs` durable, as many at a time as have gathered.

    Args:
        database: that writes them.
        name: of the database, in the server's log.
        timeout: seconds that rows may wait to be durable.
        backlog: rows that may wait.

    Attributes:
        waiting: rows that wait.
        problem: why rows cannot be written now; None while they can.
    """

    def __init__(self, database: Database, name: str, timeout: float, backlog: int) -> None:
        self._database = database
        self._name = name
        self._timeout = timeout
        self._backlog = backlog
        # They wait for the next commit, and for the one that is on its way.
        self._gathered: list[_Entry] = []
        self._flying: list[_Entry] = []
        self._closing = False
        self.waiting = 0
        self.problem: str | None = None

    def start(self, problem: str | None = None) -> None:
        """Begin, from within a running loop.

        Args:
            problem: why the database cannot be written to just now, if that is known.
        """
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._thread = Threads("prediction-log")
        self.problem = problem
        self._tasks = [self._loop.create_task(work) for work in (self._run(), self._check())]

    async def stop(self) -> None:
        """Write what waits, and end."""
        self._closing = True
        waiting = [entry.done for entry in (*self._flying, *self._gathered)]
        if waiting:
            await asyncio.wait(waiting, timeout=self._timeout)
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        with suppress(TimeoutError):
            async with asyncio.timeout(_LEAVE):
                await self._thread.run(self._database.close)
        self._thread.close()

    def health(self) -> tuple[Literal["ok", "down"], str]:
        """The state of the log, and what is wrong with it."""
        if self.problem is not None:
            return "down", self.problem
        return "ok", f"{self.waiting:,} rows wait for it"

    async def append(self, rows: Sequence[Row], beside: Sequence[Row] = ()) -> None:
        """Return once the rows are durable.

        Args:
            rows: to write.
            beside: more rows for the same commit. If the log refuses them, it says so in the
                server's log alone.

        Raises:
            LogDownError: they are not known to be. They may become durable later.
            LogRefusedError: they will never be.
        """
        if self.problem is not None:
            raise LogDownError(self.problem)
        if self._closing:
            raise LogDownError("the server is about to end")
        if self.waiting and self.waiting + len(rows) > self._backlog:
            raise LogDownError(f"{self.waiting:,} rows wait for the prediction log")
        entry = _Entry(rows, beside, self._loop.create_future(), self._loop.time())
        self._gathered.append(entry)
        self.waiting += len(rows)
        # The task wakes once the loop has run all waiting requests: they share one commit.
        self._wake.set()
        await entry.done

    async def _run(self) -> None:
        while True:
            if self.problem is not None:
                await self._recover(self.problem)
            await self._wake.wait()
            try:
                await self._commit()
            except TimeoutError:
                self.problem = f"no answer for {self._timeout:g} s"
            except Exception as error:  # noqa: BLE001  # whatever it is, callers wait
                self.problem = reason(error)

    async def _check(self) -> None:
        """Wake the writer regularly, so that an idle database is checked too."""
        while True:
            await asyncio.sleep(IDLE)
            self._wake.set()

    async def _commit(self) -> None:
        """Write what has gathered; if nothing has, check that the database answers."""
        self._wake.clear()
        # Callers that have gone do not wait any more.
        entries = [entry for entry in self._gathered if not entry.done.done()]
        self._gathered, self._flying = [], entries
        self.waiting = sum(len(entry.rows) for entry in entries)
        if not entries:
            async with asyncio.timeout(self._timeout):
                await self._thread.run(self._database.ping)
            return
        beside = [entry.beside for entry in entries if entry.beside]
        rows = [*(entry.rows for entry in entries), *beside]
        async with asyncio.timeout_at(entries[0].since + self._timeout):
            refusals = await self._thread.run(lambda: self._database.write(rows))
        for refused in filter(None, refusals[len(entries) :]):
            log.warning("%s does not take the forecasts of a challenger: %s", self._name, refused)
        for entry, refusal in zip(entries, refusals[: len(entries)], strict=True):
            self.waiting -= len(entry.rows)
            if not entry.done.done():
                if refusal is None:
                    entry.done.set_result(None)
                else:
                    entry.done.set_exception(LogRefusedError(refusal))
        self._flying = []

    async def _recover(self, problem: str) -> None:
        """Turn away all that wait, and return once the database takes rows again."""
        log.error("%s is away: %s", self._name, problem)
        entries = [*self._flying, *self._gathered]
        self._flying, self._gathered, self.waiting = [], [], 0
        for entry in entries:
            if not entry.done.done():
                entry.done.set_exception(LogDownError(problem))
        while self.problem is not None:
            await asyncio.sleep(PROBE)
            try:
                # An overdue commit keeps the thread busy: this begins when that has ended.
                await self._thread.run(self._database.probe)
            except Exception as error:  # noqa: BLE001  # whatever it is, the log is still away
                self.problem = reason(error)
            else:
                self.problem = None
        log.warning("%s is back", self._name)
