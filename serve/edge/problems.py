"""Errors as problem+json (RFC 9457): one line that says what is wrong and what to do about it."""

from collections.abc import Mapping, MutableMapping
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import compile_path
from starlette.types import Receive, Scope, Send

from stages.common.text import first_line

MEDIA_TYPE = "application/problem+json"
JSON = "application/json"

LONGEST = 2_000
"""Characters of a detail."""

SHOWN = 5
"""Mistakes that a problem names; it counts the others."""


class Problem(BaseModel):
    """The body of every answer that is not a success."""

    type: str = Field("about:blank", description="A name of the kind of problem.")
    title: str = Field(examples=["Unprocessable Content"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["unknown symbol 'APPL'; did you mean AAPL?"])
    request_id: str | None = Field(None, description="The id in the server's log of requests.")


class ProblemError(HTTPException):
    """Ends a request with a problem. FastAPI passes on only `HTTPException` while it reads a body.

    Args:
        detail: one line for the caller.
        kind: a name for programs, such as `unknown-symbol`.
        headers: such as `Retry-After`.
    """

    def __init__(
        self, status: int, detail: str, kind: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, detail, headers)
        self.status = status
        self.kind = kind


def refusal(scope: MutableMapping[str, Any], error: ProblemError) -> Response:
    """The answer for a problem; its kind goes into the scope, for the log."""
    scope["problem"] = error.kind
    detail = " ".join(error.detail.split())
    body = {
        "type": f"/problems/{error.kind}" if error.kind else "about:blank",
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        # It may quote much of a request.
        "detail": detail if len(detail) <= LONGEST else f"{detail[:LONGEST]}...",
        "request_id": scope.get("request_id"),
    }
    return Response(orjson.dumps(body), error.status, error.headers, MEDIA_TYPE)


async def on_http(request: Request, error: Exception) -> Response:
    """Answer for a `ProblemError`, or what the framework refuses: no such path, no JSON."""
    assert isinstance(error, HTTPException)  # noqa: S101  # registered for it alone
    if isinstance(error, ProblemError):
        return refusal(request.scope, error)
    kind, detail, headers = "", error.detail, error.headers
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        # The framework names the methods of the first route that fits.
        methods = ", ".join(_methods(request)) or "GET"
        headers, kind = {"Allow": methods}, "method"
        detail = f"{request.method} is not allowed for this path; use {methods}"
    elif error.status_code == HTTPStatus.NOT_FOUND:
        detail, kind = "there is no such path; GET /openapi.json lists them", "unknown-path"
    elif error.status_code == HTTPStatus.BAD_REQUEST and error.__cause__ is not None:
        detail, kind = _unreadable(error.__cause__), "unreadable-body"
    return refusal(request.scope, ProblemError(error.status_code, detail, kind, headers))


async def no_route(scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse a request that no route takes, a WebSocket too, for which FastAPI gives no reason.

    Raises:
        HTTPException: 404, for `on_http`.
    """
    if scope["type"] != "websocket":
        raise HTTPException(404)
    error = ProblemError(404, "there is no WebSocket at this path; WS /live is", "unknown-path")
    await refusal(scope, error)(scope, receive, send)


def _unreadable(cause: BaseException) -> str:
    """What is wrong with a body that Python's JSON cannot read; FastAPI does not say."""
    if isinstance(cause, ClientDisconnect):
        return "the body was cut off"
    return f"the body cannot be read: {first_line(cause)}; send what GET /openapi.json shows"


def _methods(request: Request) -> list[str]:
    """The methods that are documented for the path of a request."""
    paths: dict[str, dict[str, Any]] = request.app.openapi()["paths"]
    fitting = (
        known for path, known in paths.items() if compile_path(path)[0].match(request.url.path)
    )
    return sorted({method.upper() for known in fitting for method in known})


async def on_invalid(request: Request, error: Exception) -> Response:
    """Answer for a request that does not fit its schema."""
    assert isinstance(error, RequestValidationError)  # noqa: S101  # registered for it alone
    media_type = request.headers.get("content-type", JSON).partition(";")[0].strip()
    if media_type != JSON and error.errors()[0]["loc"] == ("body",):
        # FastAPI did not try to read it; by default curl sends forms.
        detail = f"the body is {media_type}; send it with Content-Type: {JSON}"
        return refusal(request.scope, ProblemError(415, detail, "media-type"))
    mistakes = []
    for mistake in error.errors()[:SHOWN]:
        if mistake["type"] == "json_invalid":
            mistakes.append(_not_json(mistake))
            continue
        where = ".".join(str(part) for part in mistake["loc"] if part != "body")
        mistakes.append(f"{where}: {mistake['msg']}" if where else mistake["msg"])
    rest = len(error.errors()) - len(mistakes)
    more = f"; and {rest} more" if rest > 0 else ""
    return refusal(request.scope, ProblemError(422, "; ".join(mistakes) + more, "invalid-request"))


def _not_json(mistake: Mapping[str, Any]) -> str:
    """What is wrong with a body that is not JSON; FastAPI says where, pydantic does not."""
    place = mistake["loc"][-1] if mistake["loc"] else None
    where = f" at character {place}" if isinstance(place, int) else ""
    return f"the body is not JSON: {str(mistake.get('ctx', {}).get('error', '')).lower()}{where}"


def documented(*statuses: int) -> dict[int | str, dict[str, object]]:
    """The problems that an endpoint may answer with, for its documentation."""
    return {status: {"model": Problem, **described(status)} for status in statuses}


def described(status: int) -> dict[str, object]:
    """A problem in an OpenAPI document."""
    return {
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        "description": HTTPStatus(status).phrase,
    }
