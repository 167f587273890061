"""Around every request: its id, who asks, what it may cost, what is counted and logged of it.

One ASGI middleware does it all, since each costs time; this one takes 10 to 20 us a request.
"""

import asyncio
import logging
import re
import time
from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect
from uuid_utils import uuid7

from serve.edge import problems
from serve.edge.admission import Admission, path_of, too_large
from serve.edge.deadline import Watch
from serve.edge.problems import ProblemError
from serve.observe.access_log import REQUEST, AccessLog

if TYPE_CHECKING:
    # When it is imported says whether workers count together: serve.service does that.
    from serve.observe.prometheus import Metrics

log = logging.getLogger("serve")

GONE = 499
"""What the log says of a caller who did not wait for the answer; nginx's number for it."""

SAFE = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)
"""Headers of every answer: answers are data, never pages to be shown, nor to be kept."""

HTTPS_ONLY = (b"strict-transport-security", b"max-age=31536000")

LONGEST = 200
"""Characters of a path that are logged."""

_WRITING = "/predict/"
"""Where GET adds to the prediction log, which HEAD, being safe (RFC 9110, 9.2.1), must not."""

_IDENTIFIER = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class BodyTooLargeError(HTTPException):
    """The body has more bytes than it may; of errors while it is read, FastAPI keeps only these."""

    def __init__(self, setting: str, most: int) -> None:
        problem = too_large(setting, most)
        super().__init__(problem.status, problem.detail, problem.headers)
        self.kind = problem.kind


class Guard:
    """The middleware.

    Args:
        app: that answers.
        admission: who may come in.
        metrics: what is counted.
        access: where requests are logged.
        timeout: seconds until an answer has to begin.
        secure: whether the server speaks HTTPS.
    """

    def __init__(  # noqa: PLR0913  # all that one middleware has in hand
        self,
        app: ASGIApp,
        *,
        admission: Admission,
        metrics: "Metrics",
        access: AccessLog,
        timeout: float,
        secure: bool,
    ) -> None:
        self.app = app
        self.admission = admission
        self.metrics = metrics
        self.access = access
        self.watch = Watch(timeout)
        self.headers = [*SAFE, HTTPS_ONLY] if secure else [*SAFE]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Guard a request, or a WebSocket."""
        if scope["type"] == "http":
            await _Exchange(self, scope, receive, send).run()
        elif scope["type"] == "websocket":
            await self._connect(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _connect(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A WebSocket, which may last: it is logged when it ends, and no deadline ends it."""
        started = time.perf_counter()
        headers = dict(scope["headers"])
        identifier = _identify(scope, headers)
        status, begun, gone = 101, False, False

        async def told(message: Message) -> None:
            nonlocal status, begun, gone
            begun = True
            if message["type"] == "websocket.http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"x-request-id", identifier.encode()),
                    *self.headers,
                ]
            try:
                await send(message)
            except OSError:
                gone = True
                raise

        try:
            key = self.admission.check(scope, headers)
            scope["client_name"] = key and key.name
            await self.app(scope, receive, told)
        except ProblemError as error:
            await problems.refusal(scope, error)(scope, receive, told)
        except Exception as error:
            if gone or isinstance(error, WebSocketDisconnect):
                status = GONE
                return
            problem = _failure(scope, error)
            status = problem.status
            if begun:
                raise
            await problems.refusal(scope, problem)(scope, receive, told)
        finally:
            self.finished(scope, "WS", status, time.perf_counter() - started)

    def finished(self, scope: Scope, method: str, status: int, seconds: float) -> None:
        """Count and log what has been answered; neither query nor headers, which may be secret."""
        path = route(scope)
        kind = scope.get("problem")
        client = scope.get("client")
        self.metrics.answered(path, method, status, seconds)
        if status >= 400:  # noqa: PLR2004  # of HTTP
            self.metrics.failed(path, kind or "other")
        self.access.line(
            status,
            {
                "request_id": scope["request_id"],
                "method": method,
                "path": scope["path"][:LONGEST],
                "ms": round(seconds * 1000, 3),
                "client": scope.get("client_name"),
                "address": client[0] if client else None,
                "problem": kind,
            },
        )


class _Exchange:
    """One request and its answer."""

    __slots__ = (
        "deadline",
        "guard",
        "identifier",
        "limit",
        "method",
        "receiver",
        "scope",
        "sender",
        "size",
        "status",
        "unread",
    )

    def __init__(self, guard: Guard, scope: Scope, receive: Receive, send: Send) -> None:
        self.guard = guard
        self.method = scope["method"]
        # FastAPI's routes know no HEAD; the server, which keeps its own scope, sends no body to it.
        asks_as_get = self.method == "HEAD" and not path_of(scope).startswith(_WRITING)
        self.scope = {**scope, "method": "GET"} if asks_as_get else scope
        self.receiver = receive
        self.sender = send
        self.status = 0
        self.limit = ("", 0)
        self.size = 0
        self.unread = False
        self.identifier = ""
        self.deadline = self.scope["deadline"] = guard.watch.begin()

    async def run(self) -> None:
        """Have the app answer, or answer in its place."""
        started = time.perf_counter()
        guard, scope = self.guard, self.scope
        headers = dict(scope["headers"])
        self.identifier = _identify(scope, headers)
        try:
            key = guard.admission.check(scope, headers)
            scope["client_name"] = key and key.name
            receive = self.receiver
            if b"content-length" in headers or b"transfer-encoding" in headers:
                self.limit = guard.admission.max_body(scope, headers)
                self.unread = True
                receive = self.receive
            await guard.app(scope, receive, self.send)
        except asyncio.CancelledError:
            guard.watch.end(self.deadline)
            if not self.deadline.expired or self.deadline.task.cancelling():
                raise
            await self.answer(_late(guard.watch.seconds, unread=self.unread))
        except ProblemError as error:
            await self.answer(error)
        except BodyTooLargeError:
            await self.answer(too_large(*self.limit))
        except ClientDisconnect:
            self.status = self.status or GONE
        except Exception as error:  # noqa: BLE001  # whatever it is, a caller waits
            await self.fail(error)
        finally:
            guard.watch.end(self.deadline)
            # What the answer was, if the caller has gone before it began.
            status = self.status or GONE
            guard.finished(scope, self.method, status, time.perf_counter() - started)

    async def receive(self) -> Message:
        """The next part of the body.

        Raises:
            BodyTooLargeError: there is more of it than there may be.
        """
        message = await self.receiver()
        if message["type"] == "http.request":
            self.size += len(message.get("body", b""))
            self.unread = message.get("more_body", False)
            if self.size > self.limit[1]:
                raise BodyTooLargeError(*self.limit)
        return message

    async def send(self, message: Message) -> None:
        """Send on what the app sends, with the headers that every answer has."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            # How long the rest takes is up to the caller, who reads it.
            self.deadline.at = None
            message["headers"] = [
                *message.get("headers", ()),
                (b"x-request-id", self.identifier.encode()),
                *self.guard.headers,
            ]
        await self.sender(message)

    async def answer(self, error: ProblemError) -> None:
        """Answer with a problem."""
        response = problems.refusal(self.scope, error)
        await response(self.scope, self.receiver, self.send)

    async def fail(self, error: Exception) -> None:
        """Answer for what no one has foreseen."""
        problem = _failure(self.scope, error)
        if self.status:
            # Half an answer must not look like a whole one: uvicorn then cuts the connection.
            raise error
        await self.answer(problem)


def _failure(scope: Scope, error: Exception) -> ProblemError:
    """The problem of what no one has foreseen; the stack goes to the log, and nowhere else."""
    log.error("%s failed", route(scope), exc_info=error)
    detail = f"the server failed; its log has it under {scope['request_id']}"
    return ProblemError(500, detail, "failure")


def _late(seconds: float, *, unread: bool) -> ProblemError:
    after = f"within {seconds:g} s (SERVE_REQUEST_TIMEOUT)"
    if unread:
        detail = f"the body did not arrive {after}"
        return ProblemError(408, detail, "slow-body", {"Connection": "close"})
    detail = f"there was no answer {after}; ask for less, or later"
    return ProblemError(503, detail, "timeout", {"Retry-After": "1"})


def _identify(scope: MutableMapping[str, Any], headers: Mapping[bytes, bytes]) -> str:
    """Give a request its id: the caller's own if it is a plain one, else a UUIDv7."""
    given = headers.get(b"x-request-id")
    if given is not None and _IDENTIFIER.fullmatch(given):
        identifier = given.decode("ascii")
    else:
        identifier = str(uuid7())
    scope["request_id"] = identifier
    REQUEST.set(identifier)
    return identifier


def route(scope: Scope) -> str:
    """The template of the path that a request was for, of which there are only so many."""
    found = getattr(scope.get("route"), "path", None)
    return found if isinstance(found, str) else "other"
