"""Routes for the busiest endpoints: documented like any other, answered without FastAPI.

FastAPI passes every request through five layers, resolves dependencies and wraps the result. Where
JSON comes in and JSON goes out, that is most of the time. Such requests are answered here. FastAPI
gets all others (another media type, a body that does not fit), and refuses them as everywhere else.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_JSON = b"application/json"
_MEDIA_TYPE = (b"content-type", _JSON)


class DirectRoute(APIRoute):
    """A route whose answers come from a function of the scope and the checked body.

    To FastAPI it is a route like any other; `Direct` finds what it answers directly.

    Args:
        path: without parameters.
        endpoint: has the signature that is documented, and answers all other requests.
        direct: gives the JSON of the same answer; may raise what an endpoint may.
        body: the schema of the body; no body counts as `{}`.
        options: of `APIRoute`.
    """

    def __init__(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        direct: Callable[[Scope, Any], Awaitable[bytes]],
        body: type[BaseModel],
        **options: Any,
    ) -> None:
        super().__init__(path, endpoint, **options)
        self.direct = direct
        self.body = body


class Direct:
    """Middleware that answers requests for direct routes.

    Args:
        app: that answers all others.
        routes: of the app; only direct ones count.
    """

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute]) -> None:
        self.app = app
        self._routes = {
            (method, route.path): route
            for route in routes
            if isinstance(route, DirectRoute)
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        route = None
        if scope["type"] == "http" and not scope.get("root_path"):
            route = self._routes.get((scope["method"], scope["path"]))
        if route is None or not _is_json(scope):
            await self.app(scope, receive, send)
            return
        # As the router does: requests are counted by it, also those whose body never comes.
        scope["route"] = route
        content = await _read(receive)
        try:
            body = route.body.model_validate_json(content or b"{}")
        except ValidationError:
            await self.app(scope, _again(content, receive), send)
            return
        await _answer(await route.direct(scope, body), send)


def _is_json(scope: Scope) -> bool:
    for name, value in scope["headers"]:
        if name == b"content-type":
            return bool(value == _JSON)
    # Without a body there is no type of it; FastAPI judges a body without a type.
    return all(
        name != b"transfer-encoding" and (name != b"content-length" or value == b"0")
        for name, value in scope["headers"]
    )


async def _read(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _again(content: bytes, receive: Receive) -> Receive:
    unread = [content]

    async def replay() -> Message:
        if unread:
            return {"type": "http.request", "body": unread.pop(), "more_body": False}
        return await receive()

    return replay


async def _answer(content: bytes, send: Send) -> None:
    length = (b"content-length", str(len(content)).encode())
    headers = [_MEDIA_TYPE, length]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})
