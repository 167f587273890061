"""Every request gets an id, every answer safe headers; both are counted and logged."""

import re
import time
from collections.abc import Iterator

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect
from uuid_utils import uuid7

from serve.edge.admission import path_of
from serve.observe.access_log import REQUEST, AccessLog
from serve.observe.prometheus import Metrics

GONE = 499
"""The status that is logged for a caller who did not wait for the answer, as nginx does."""

SAFE = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)
"""Headers of every answer: answers are data, not pages to show or to keep."""

HTTPS_ONLY = (b"strict-transport-security", b"max-age=31536000")

LONGEST = 200
"""Characters of a path that are logged."""

_WRITING = "/predict/"
"""Where GET adds to the prediction log. HEAD, which must be safe (RFC 9110, 9.2.1), is refused."""

_IDENTIFIER = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_STARTS = frozenset({"http.response.start", "websocket.http.response.start"})


class RequestLog:
    """The middleware.

    Args:
        secure: whether the server speaks HTTPS.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, access: AccessLog, *, secure: bool) -> None:
        self.app = app
        self.metrics = metrics
        self.access = access
        self.headers = (*SAFE, HTTPS_ONLY) if secure else SAFE

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and log it when it ends."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        websocket = scope["type"] == "websocket"
        method, status = ("WS", 101) if websocket else (scope["method"], GONE)
        if method == "HEAD" and not path_of(scope).startswith(_WRITING):
            # FastAPI's routes do not know HEAD. uvicorn keeps its own scope, and sends no body.
            scope = {**scope, "method": "GET"}
        identifier = scope["request_id"] = _identifier(scope)
        REQUEST.set(identifier)

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] in _STARTS:
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"x-request-id", identifier.encode()),
                    *(self.headers if "policy" not in scope else self._of_page(scope["policy"])),
                ]
            try:
                await send(message)
            except OSError:
                # So says uvicorn of a WebSocket whose caller has gone.
                raise WebSocketDisconnect(1006) from None

        try:
            await self.app(scope, receive, send_with_headers)
        except (ClientDisconnect, WebSocketDisconnect):
            status = GONE if websocket else status
        except Exception:
            status = 500 if websocket else status
            raise
        finally:
            self._finish(scope, method, status, time.perf_counter() - started)

    def _of_page(self, policy: str) -> Iterator[tuple[bytes, bytes]]:
        """The headers of a page, which has a policy of its own."""
        for name, value in self.headers:
            yield name, policy.encode() if name == b"content-security-policy" else value

    def _finish(self, scope: Scope, method: str, status: int, seconds: float) -> None:
        """Count and log a request; not its query and headers, which may be secret."""
        path = route(scope)
        problem = scope.get("problem")
        client = scope.get("client")
        self.metrics.answered(path, method, status, seconds)
        if status >= 400:  # noqa: PLR2004  # of HTTP
            self.metrics.failed(path, problem or "other")
        self.access.line(
            {
                "request_id": scope["request_id"],
                "method": method,
                "path": scope["path"][:LONGEST],
                "ms": round(seconds * 1000, 3),
                "client": scope.get("client_name"),
                "address": client[0] if client else None,
                "problem": problem,
                "status": status,
            },
            failed=status >= 500,  # noqa: PLR2004  # of HTTP
        )


def _identifier(scope: Scope) -> str:
    """The id of a request: the caller's own if it is a plain one, else a UUIDv7."""
    header = dict(scope["headers"]).get(b"x-request-id", b"")
    return header.decode() if _IDENTIFIER.fullmatch(header) else str(uuid7())


def route(scope: Scope) -> str:
    """The path template of the route that a request was for, of which there are only so many."""
    path = getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) else "other"
