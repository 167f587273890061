"""A direct route answers, and refuses, as the same endpoint does on FastAPI's way."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Annotated, Any

import httpx2
import orjson
import pytest
from fastapi import Body, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.requests import ClientDisconnect
from starlette.types import Message, Scope

from serve import problems
from serve.direct import DirectRoute
from serve.problems import ProblemError

JSON_TYPE = b"application/json"
JSON = {"content-type": JSON_TYPE.decode()}


class Asked(BaseModel):
    """What is asked."""

    symbol: str = "first"
    count: int = 1


def app() -> FastAPI:
    """An app that answers `/direct` directly and `/plain` on FastAPI's way."""

    async def direct(scope: Scope, asked: Asked) -> bytes:
        if asked.symbol == "unknown":
            raise ProblemError(404, "unknown symbol")
        return orjson.dumps({"method": scope["method"], **asked.model_dump()})

    async def endpoint(request: Request, asked: Annotated[Asked | None, Body()] = None) -> Response:
        request.state.slow = True
        content = await direct(request.scope, asked or Asked())
        return Response(content, media_type="application/json")

    made = FastAPI(
        exception_handlers={
            ProblemError: problems.on_problem,
            RequestValidationError: problems.on_invalid,
        }
    )
    made.router.routes.append(
        DirectRoute("/direct", endpoint, direct=direct, body=Asked, methods=["POST"])
    )
    made.router.routes.append(APIRoute("/plain", endpoint, methods=["POST"]))
    return made


async def ask(path: str, content: Any, headers: dict[str, str]) -> httpx2.Response:
    """One request to the app."""
    transport = httpx2.ASGITransport(app())
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


def test_the_plain_case_does_not_go_fastapis_way() -> None:
    """Else it would gain nothing."""

    async def never(_: Annotated[Asked | None, Body()] = None) -> Response:
        raise AssertionError

    async def direct(_: Scope, asked: Asked) -> bytes:
        return orjson.dumps(asked.symbol)

    route = DirectRoute("/", never, direct=direct, body=Asked, methods=["POST"])
    sent = run(route, [{"type": "http.request", "body": b"{}"}], [(b"content-type", JSON_TYPE)])
    assert sent[1]["body"] == b'"first"'


def run(route: APIRoute, parts: list[Message], headers: list[tuple[bytes, bytes]]) -> list[Message]:
    """What a route sends for a request whose body comes in parts."""
    sent: list[Message] = []
    coming: Iterator[Message] = iter(parts)

    async def receive() -> Message:
        return next(coming)

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}
    handle: Callable[..., Awaitable[None]] = route.handle
    asyncio.run(_run(handle(scope, receive, send)))
    return sent


async def _run(answer: Awaitable[None]) -> None:
    await answer


def test_a_caller_that_leaves_amid_its_body_gets_no_answer() -> None:
    async def direct(_: Scope, asked: Asked) -> bytes:
        raise AssertionError(asked)

    async def endpoint() -> None:
        raise AssertionError

    route = DirectRoute("/", endpoint, direct=direct, body=Asked, methods=["POST"])
    parts: list[Message] = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]
    with pytest.raises(ClientDisconnect):
        run(route, parts, [(b"content-type", JSON_TYPE)])
