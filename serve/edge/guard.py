"""What goes wrong with a request becomes an answer: refused, too late, or failed."""

import asyncio
import logging

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from serve.edge import problems
from serve.edge.problems import ProblemError
from serve.edge.request_log import route

log = logging.getLogger("serve")


class Deadline:
    """Cancels the running task when it has passed.

    With `asyncio.timeout` in its place, the server answers 5 % fewer requests a second.

    Args:
        seconds: from now; None is never.
    """

    def __init__(self, seconds: float | None) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # a server answers every request in a task
        self.task = task
        self.passed = False
        self._timer: asyncio.TimerHandle | None = None
        self.move(seconds)

    def move(self, seconds: float | None) -> None:
        """Let it pass so many seconds from now, or never."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds is not None:
            self._timer = self.task.get_loop().call_later(seconds, self._pass)

    def _pass(self) -> None:
        self.passed = True
        self.task.cancel()


class Guard:
    """The middleware. It leaves the deadline of a request in its scope, for routes to move.

    Args:
        timeout: seconds until the answer to a request has to begin.
    """

    def __init__(self, app: ASGIApp, timeout: float) -> None:
        self.app = app
        self.timeout = timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have the app answer, or answer in its place."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        # No deadline ends a WebSocket.
        deadline = Deadline(self.timeout if scope["type"] == "http" else None)
        scope["deadline"] = deadline
        begun = False

        async def begin(message: Message) -> None:
            nonlocal begun
            if not begun:
                # How long the rest takes is up to the caller, who reads it.
                deadline.move(None)
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, begin)
        except (ClientDisconnect, WebSocketDisconnect):
            raise
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError):
                # Whoever else cancels the task wants it to end.
                if not deadline.passed or deadline.task.uncancel():
                    raise
                problem = _late(self.timeout, unread=scope.get("unread", False))
            elif isinstance(error, ProblemError):
                problem = error
            else:
                problem = _failure(scope, error)
            if begun:
                # Half an answer must not look like a whole one: uvicorn then cuts the connection.
                raise
            await problems.refusal(scope, problem)(scope, receive, send)
        finally:
            deadline.move(None)


def _failure(scope: Scope, error: Exception) -> ProblemError:
    """The problem of a mistake of ours; its stack goes to the log and nowhere else."""
    log.error("%s failed", route(scope), exc_info=error)
    detail = f"the server failed; its log has it under {scope['request_id']}"
    return ProblemError(500, detail, "failure")


def _late(seconds: float, *, unread: bool) -> ProblemError:
    limit = f"within {seconds:g} s (SERVE_REQUEST_TIMEOUT)"
    if unread:
        detail = f"the body did not arrive {limit}"
        return ProblemError(408, detail, "slow-body", {"Connection": "close"})
    detail = f"there was no answer {limit}; ask for less, or later"
    return ProblemError(503, detail, "timeout", {"Retry-After": "1"})
