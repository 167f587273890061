"""Deadlines of requests, which one timer watches: a timer for each would cost 5 us a request."""

import asyncio

TICKS = 10
"""Looks in the time that an answer may take; so late may it be ended."""

LONGEST = 0.5
"""Seconds between looks."""


class Deadline:
    """Until when the answer to one request has to begin.

    Args:
        task: that answers; it is cancelled then.
        at: by the clock of the loop; None is never.
    """

    __slots__ = ("at", "expired", "task")

    def __init__(self, task: asyncio.Task[object], at: float | None) -> None:
        self.task = task
        self.at = at
        self.expired = False

    def extend(self, seconds: float) -> None:
        """Give it as much time from now."""
        self.at = self.task.get_loop().time() + seconds


class Watch:
    """The deadlines of all requests of a worker.

    Args:
        seconds: until the answer to a request has to begin.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._every = min(LONGEST, seconds / TICKS)
        self._open: set[Deadline] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self) -> Deadline:
        """The deadline of the task that is running."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # a server runs every request in one
        loop = task.get_loop()
        deadline = Deadline(task, loop.time() + self.seconds)
        self._open.add(deadline)
        if self._loop is not loop:
            self._loop = loop
            loop.call_later(self._every, self._look, loop)
        return deadline

    def end(self, deadline: Deadline) -> None:
        """Watch it no more; if it has passed, the cancelling of the task is over as well."""
        if deadline in self._open:
            self._open.remove(deadline)
            if deadline.expired:
                deadline.task.uncancel()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is not loop:
            return
        now = loop.time()
        for deadline in self._open:
            if deadline.at is not None and deadline.at <= now and not deadline.expired:
                deadline.expired = True
                deadline.task.cancel()
        if self._open:
            loop.call_later(self._every, self._look, loop)
        else:
            self._loop = None
