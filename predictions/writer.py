"""The way of rows into the prediction log: into the database, or meanwhile into the spool."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from sqlalchemy import Engine

from predictions.database import Database
from predictions.group_commit import PROBE, GroupCommit, LogDownError, LogRefusedError
from predictions.schema import Row
from predictions.spool import Spool, Taken

log = logging.getLogger("serve")

Place = Literal["database", "spool"]
State = Literal["ok", "degraded", "down"]


class LogWriter:
    """Makes rows of `prediction_logs` durable.

    Args:
        engine: of the log.
        timeout: seconds that rows may wait to be durable.
        backlog: rows that may wait.
        folder: of the spool, whose rows go into the database whenever it can be had.
        spools: whether rows go there while the database is away; otherwise they are turned away.
    """

    def __init__(
        self, engine: Engine, timeout: float, backlog: int, folder: Path, *, spools: bool = False
    ) -> None:
        place = engine.url.render_as_string(hide_password=True)
        self._database = GroupCommit(
            Database(engine), f"prediction log {place}", timeout, backlog, self._replay_soon
        )
        self._spool = Spool(folder)
        self._folder = folder
        self._aside = (
            GroupCommit(self._spool, f"spool {folder}", timeout, backlog) if spools else None
        )
        self._replay: asyncio.Task[None] | None = None
        self._stuck: str | None = None

    def start(self, problem: str | None = None) -> None:
        """Begin to write, from within a running loop.

        Args:
            problem: why the database cannot be had just now, if that is known.
        """
        self._loop = asyncio.get_running_loop()
        self._database.start(problem)
        if self._aside is not None:
            self._aside.start()
        self._replay_soon()

    async def stop(self) -> None:
        """Write what waits, and end."""
        if self._replay is not None:
            self._replay.cancel()
            await asyncio.gather(self._replay, return_exceptions=True)
        await self._database.stop()
        if self._aside is not None:
            await self._aside.stop()

    @property
    def queue(self) -> int:
        """Rows that wait."""
        return self._database.waiting + (self._aside.waiting if self._aside else 0)

    @property
    def problem(self) -> str | None:
        """Why the database cannot be written to now; None while it can."""
        return self._database.problem

    @property
    def behind(self) -> bool:
        """Whether rows are in the spool that are not in the database yet."""
        return bool(self._spool.names())

    def health(self) -> tuple[State, str]:
        """The state of the log, and what is wrong with it."""
        problem = self.problem
        if problem is None:
            if self.behind:
                detail = f"rows of {self._folder} are on their way into the database"
                return "degraded", f"{detail}, but: {self._stuck}" if self._stuck else detail
            return "ok", f"{self.queue:,} rows wait for it"
        if self._aside is None:
            return "down", problem
        if self._aside.problem is not None:
            return "down", f"{problem}; and the spool: {self._aside.problem}"
        return "degraded", f"{problem}; predictions are kept in {self._folder} meanwhile"

    async def append(self, rows: Sequence[Row]) -> Place:
        """Return once the rows are durable, and where.

        Raises:
            LogDownError: they are not known to be. They may become durable later.
            LogRefusedError: no log keeps such rows.
        """
        try:
            await self._database.append(rows)
        except LogDownError:
            if self._aside is None:
                raise
        else:
            return "database"
        # Should some of them have come into the database after all: an id goes in but once.
        await self._aside.append(rows)
        self._replay_soon()
        return "spool"

    def _replay_soon(self) -> None:
        if self.problem is None and (self._replay is None or self._replay.done()):
            self._replay = self._loop.create_task(self._empty_spool())

    async def _empty_spool(self) -> None:
        """Bring the rows of the spool into the database, for as long as it can be had."""
        while self.problem is None and self.behind:
            try:
                await self._bring_in_all()
                self._stuck = None
            except LogDownError:
                pass
            except Exception as error:  # a task that ends would leave the rows there
                if self._stuck is None:
                    log.exception("spool %s is not emptied", self._folder)
                self._stuck = str(error)
            # Files that are locked belong to other processes: they bring them in themselves.
            await asyncio.sleep(PROBE)

    async def _bring_in_all(self) -> None:
        files = self._spool.take()
        try:
            while taken := await asyncio.to_thread(next, files, None):
                await self._bring_in(taken)
        finally:
            # When the server ends, a thread may be at it still: it closes the file then.
            with suppress(ValueError):
                files.close()

    async def _bring_in(self, taken: Taken) -> None:
        chunks = taken.chunks()
        while rows := await asyncio.to_thread(next, chunks, None):
            try:
                await self._database.append(rows)
            except LogRefusedError:
                await self._bring_in_each(taken, rows)
        taken.remove()

    async def _bring_in_each(self, taken: Taken, rows: Sequence[Row]) -> None:
        for row in rows:
            try:
                await self._database.append([row])
            except LogRefusedError as error:
                taken.refuse(row, str(error))
