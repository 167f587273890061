"""Group commit: answers wait until their rows are durable, and one commit serves all that wait.

While a commit is on its way to the disk, the rows of further requests gather, and go together into
the next one (DeWitt et al., 1984): the more requests, the fewer commits each. All state belongs to
the event loop; one thread does nothing but what it is handed.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any, NamedTuple, Protocol

from predictions.schema import Row

log = logging.getLogger("serve")

PROBE = 0.25
"""Seconds between looks at a database that is away."""

IDLE = 5.0
"""Seconds without a row after which the database is looked at."""

_LEAVE = 1.0

_REMEDIES = {
    "unable to open database file": "see that its folder is there and the server may write into it",
    "attempt to write a readonly database": "let the server write to the file and into its folder",
    "database or disk is full": "free some space on its disk",
    "disk I/O error": "see that its disk is well and has space",
    "database is locked": "another process holds it",
    "file is not a database": "move the file away, or name another by DATABASE_URL",
}
"""Of what SQLite says."""


class LogDownError(Exception):
    """Rows are not known to be durable: the database is away, slow, or too much is waiting."""


class LogRefusedError(Exception):
    """The database is well, and refuses these rows."""


class Sink(Protocol):
    """Where rows are made durable; called by one thread at a time."""

    def write(self, entries: Sequence[Sequence[Row]]) -> Sequence[str | None]:
        """Make entries durable; returns for each why it was refused, or None.

        Raises:
            Exception: none of them is known to be durable.
        """

    def probe(self) -> None:
        """Write what leaves no trace; raises where that fails."""

    def ping(self) -> None:
        """Ask for an answer; raises where there is none."""

    def close(self) -> None:
        """Let go of what is open."""


class _Entry(NamedTuple):
    rows: Sequence[Row]
    done: "asyncio.Future[None]"
    since: float


class GroupCommit:
    """Hands rows to a sink, as many at a time as have gathered.

    Args:
        sink: makes them durable.
        name: of the sink, in the server's log.
        timeout: seconds that rows may wait to be durable.
        backlog: rows that may wait.
        up: is called whenever the sink is back.
    """

    def __init__(
        self,
        sink: Sink,
        name: str,
        timeout: float,
        backlog: int,
        up: Callable[[], None] = lambda: None,
    ) -> None:
        self._sink = sink
        self._name = name
        self._timeout = timeout
        self._backlog = backlog
        self._up = up
        # Wait for the next commit, and for the one that is on its way.
        self._gathered: list[_Entry] = []
        self._flying: Sequence[_Entry] = ()
        # The thread has a job: a commit, a probe or a ping. What gathers meanwhile is handed over
        # when it is done; a commit that is overdue keeps it busy, with nobody waiting any more.
        self._busy = False
        # The rows that gather while it is idle are handed over at the end of this turn of the loop.
        self._scheduled = False
        self._closing = False
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._timers: set[asyncio.TimerHandle] = set()
        # Commits so far, and as of the last look: equal if none was made since.
        self._written = self._looked = 0
        self.waiting = 0
        """Rows that wait."""
        self.problem: str | None = None
        """Why rows cannot be written now; None while they can."""

    def start(self, problem: str | None = None) -> None:
        """Begin, from within a running loop; a problem that is known already is looked after."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        if problem is not None:
            self._fail(problem)
        self._later(IDLE, self._look)

    async def stop(self) -> None:
        """Write what waits, and end."""
        self._closing = True
        waiting = [entry.done for entry in (*self._flying, *self._gathered)]
        if waiting:
            await asyncio.wait(waiting, timeout=self._timeout)
        for timer in self._timers:
            timer.cancel()
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join, _LEAVE)

    async def append(self, rows: Sequence[Row]) -> None:
        """Return once the rows are durable.

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
        done = self._loop.create_future()
        self._gathered.append(_Entry(rows, done, self._loop.time()))
        self.waiting += len(rows)
        if not self._busy and not self._scheduled:
            self._scheduled = True
            # After all requests that the loop has at hand: they go together.
            self._loop.call_soon(self._hand_over)
        await done

    def _hand_over(self) -> None:
        self._scheduled = False
        if self._busy:
            return
        entries = [entry for entry in self._gathered if not entry.done.done()]
        self._gathered = []
        self.waiting = sum(len(entry.rows) for entry in entries)
        if not entries:
            return
        self._flying = entries
        self._written += 1
        rows = [entry.rows for entry in entries]
        timer = self._later(entries[0].since + self._timeout - self._loop.time(), self._overdue)
        self._do(lambda: self._sink.write(rows), timer)

    def _do(self, job: Callable[[], Any], timer: asyncio.TimerHandle | None = None) -> None:
        """Have the thread do something, and the loop hear what became of it."""
        self._busy = True

        def work() -> None:
            found, problem = None, None
            try:
                found = job()
            except Exception as error:  # noqa: BLE001  # a thread that ends would block every answer
                problem = reason(error)
            self._tell(lambda: self._done(found, problem, timer))

        self._jobs.put(work)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
        self._sink.close()

    def _tell(self, function: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(function)
        except RuntimeError:
            # The loop has ended while the database hung: nobody is left to hear.
            return

    def _done(
        self,
        refusals: Sequence[str | None] | None,
        problem: str | None,
        timer: asyncio.TimerHandle | None,
    ) -> None:
        self._busy = False
        if timer is not None:
            self._drop(timer)
        if problem is not None:
            self._fail(problem)
            return
        flying, self._flying = self._flying, ()
        for entry, refusal in zip(flying, refusals or (), strict=False):
            self.waiting -= len(entry.rows)
            if not entry.done.done():
                if refusal is None:
                    entry.done.set_result(None)
                else:
                    entry.done.set_exception(LogRefusedError(refusal))
        if self.problem is not None:
            self.problem = None
            log.warning("%s is back", self._name)
            self._up()
        if self._gathered:
            self._hand_over()

    def _fail(self, problem: str) -> None:
        """Turn away all that wait, until a look at the database finds it well."""
        if self.problem is None:
            log.error("%s is away: %s", self._name, problem)
        self.problem = problem
        entries = [*self._flying, *self._gathered]
        self._flying, self._gathered, self.waiting = (), [], 0
        for entry in entries:
            if not entry.done.done():
                entry.done.set_exception(LogDownError(problem))
        if not self._busy and not self._closing:
            self._later(PROBE, self._probe)

    def _overdue(self) -> None:
        # What is on its way stays so: the thread reports, however late, and then probes.
        self._fail(f"no answer for {self._timeout:g} s")

    def _probe(self) -> None:
        if not self._busy and self.problem is not None:
            self._do(self._sink.probe)

    def _look(self) -> None:
        """Ask after a database to which nothing was written lately."""
        if not self._busy and self.problem is None and self._written == self._looked:
            self._do(self._sink.ping, self._later(self._timeout, self._overdue))
        self._looked = self._written
        self._later(IDLE, self._look)

    def _later(self, seconds: float, function: Callable[[], None]) -> asyncio.TimerHandle:
        def run() -> None:
            self._timers.discard(timer)
            function()

        timer = self._loop.call_later(max(0.0, seconds), run)
        self._timers.add(timer)
        return timer

    def _drop(self, timer: asyncio.TimerHandle) -> None:
        timer.cancel()
        self._timers.discard(timer)


def reason(error: BaseException) -> str:
    """The first line of what the database said, without the statement and its rows."""
    text = str(getattr(error, "orig", None) or error).strip()
    said = text.splitlines()[0] if text else type(error).__name__
    remedy = _REMEDIES.get(said)
    return f"{said}; {remedy}" if remedy else said
