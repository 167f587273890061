"""A direct route answers and refuses as the same endpoint does through FastAPI."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import httpx2
import orjson
import pytest
from fastapi import Body, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.edge import problems
from serve.edge.problems import ProblemError
from serve.routes.direct import Direct, DirectRoute

JSON_TYPE = b"application/json"
JSON = {"content-type": JSON_TYPE.decode()}


class Query(BaseModel):
    """A body with defaults."""

    symbol: str = "first"
    count: int = 1


def app() -> FastAPI:
    """An app that answers `/direct` directly and `/plain` through FastAPI."""

    async def direct(scope: Scope, body: Query) -> bytes:
        if body.symbol == "unknown":
            raise ProblemError(404, "unknown symbol")
        return orjson.dumps({"method": scope["method"], **body.model_dump()})

    async def endpoint(request: Request, body: Annotated[Query | None, Body()] = None) -> Response:
        request.state.slow = True
        content = await direct(request.scope, body or Query())
        return Response(content, media_type="application/json")

    app = FastAPI(
        exception_handlers={
            ProblemError: problems.on_http,
            RequestValidationError: problems.on_invalid,
        }
    )
    app.router.routes.append(
        DirectRoute("/direct", endpoint, direct=direct, body=Query, methods=["POST"])
    )
    app.router.routes.append(APIRoute("/plain", endpoint, methods=["POST"]))
    app.add_middleware(Direct, routes=app.routes)
    # Around it, like the guard, which answers for errors.
    app.add_middleware(Problems)
    return app


class Problems:
    """Answers for problems that no endpoint raised."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        except ProblemError as error:
            answer = await problems.on_http(Request(scope), error)
            await answer(scope, receive, send)


async def ask(
    path: str, content: Any, headers: dict[str, str], root_path: str = ""
) -> httpx2.Response:
    """One request to the app."""
    transport = httpx2.ASGITransport(app(), root_path=root_path)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.post(path, content=content, headers=headers)


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b'{"symbol": "A", "count": 3}', JSON),
        (b"{}", JSON),
        (b"null", JSON),
        (b"", JSON),
        (b"", {}),
        (b'{"symbol": "A"}', {}),
        (b'{"symbol": "A"}', {"content-type": "application/json; charset=utf-8"}),
        (b'{"symbol": "A"}', {"content-type": "text/plain"}),
        (b"symbol=A", {"content-type": "application/x-www-form-urlencoded"}),
        (b'{"symbol": 1}', JSON),
        (b'{"symbol": "A", "count": "many"}', JSON),
        (b'{"symbol": "unknown"}', JSON),
        (b'{"symbol": ', JSON),
        (b"[1, 2]", JSON),
        (b"\xff\xfe", JSON),
    ],
)
def test_it_answers_as_the_endpoint_does(content: bytes, headers: dict[str, str]) -> None:
    direct = asyncio.run(ask("/direct", content, headers))
    plain = asyncio.run(ask("/plain", content, headers))
    assert (direct.status_code, direct.content) == (plain.status_code, plain.content)
    assert direct.headers == plain.headers


def test_the_cases_are_answered_both_ways() -> None:
    assert asyncio.run(ask("/direct", b'{"symbol": "A", "count": 3}', JSON)).json() == {
        "method": "POST",
        "symbol": "A",
        "count": 3,
    }
    refused = asyncio.run(ask("/direct", b'{"count": "many"}', JSON))
    assert refused.status_code == 422
    assert refused.json()["detail"].startswith("count: ")


def test_a_body_may_come_in_parts() -> None:
    async def parts() -> Any:
        yield b'{"symbol"'
        yield b': "A"}'

    assert asyncio.run(ask("/direct", parts(), JSON)).json()["symbol"] == "A"


def test_a_path_below_a_root_is_found_by_fastapi() -> None:
    direct = asyncio.run(ask("/direct", b"{}", JSON, root_path="/api"))
    assert (
        direct.status_code == asyncio.run(ask("/plain", b"{}", JSON, root_path="/api")).status_code
    )


async def never(*_: Any) -> Any:
    raise AssertionError


def run(parts: Sequence[Message], direct: Callable[..., Any]) -> tuple[list[Message], Scope]:
    """What is sent for a body that comes in parts, and the scope; all else fails."""
    route = DirectRoute("/", never, direct=direct, body=Query, methods=["POST"])
    sent: list[Message] = []
    coming = iter(parts)

    async def receive() -> Message:
        return next(coming)

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"content-type", JSON_TYPE)]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}
    asyncio.run(Direct(never, [route])(scope, receive, send))
    return sent, scope


def test_the_plain_case_does_not_go_fastapis_way() -> None:
    """Else it would gain nothing."""

    async def direct(_: Scope, body: Query) -> bytes:
        return orjson.dumps(body.symbol)

    sent, scope = run([{"type": "http.request", "body": b"{}"}], direct)
    assert sent[1]["body"] == b'"first"'
    assert scope["route"].path == "/"


def test_a_caller_that_leaves_amid_its_body_gets_no_answer() -> None:
    parts: list[Message] = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]
    with pytest.raises(ClientDisconnect):
        run(parts, never)


@pytest.mark.parametrize("path", ["/other", "/direct/"])
def test_other_paths_are_passed_on(path: str) -> None:
    assert asyncio.run(ask(path, b"{}", JSON)).status_code in {307, 404}


def test_other_methods_are_passed_on() -> None:
    async def put() -> httpx2.Response:
        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app()), base_url="http://test"
        ) as client:
            return await client.put("/direct", json={})

    assert asyncio.run(put()).status_code == 405
