"""What a request may have besides its path: the parameters of its route, each once.

FastAPI ignores a parameter that it does not know, and so would answer another question.
"""

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from re import Pattern
from typing import NamedTuple
from urllib.parse import parse_qsl

from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query
from fastapi.routing import RouteContext, iter_route_contexts
from starlette.routing import BaseRoute, compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from serve.edge.admission import path_of
from serve.edge.problems import ProblemError
from stages.common.text import nearest

_LONGEST = 64
"""Characters of a name that are compared with known ones, and shown."""

_WEBSOCKET = "WS"

_NO_BODY = "GET takes no body; send its fields as parameters in the address, or use POST"


class _Endpoint(NamedTuple):
    route: RouteContext
    path: Pattern[str]
    methods: frozenset[str]
    parameters: Sequence[str]


class Parameters:
    """The middleware."""

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute]) -> None:
        self.app = app
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on.

        Raises:
            ProblemError: 422, it has a parameter that its route does not take, or one twice; or
                it is a GET with a body.
        """
        query, body = scope.get("query_string"), scope.get("method") == "GET" and _has_body(scope)
        if query or body:
            self._check(scope, body=body)
        await self.app(scope, receive, send)

    def _check(self, scope: Scope, *, body: bool) -> None:
        method, path = scope.get("method", _WEBSOCKET), path_of(scope)
        for endpoint in self._endpoints:
            if method in endpoint.methods and endpoint.path.match(path):
                # As the router does: refusals are counted by it.
                scope["route"] = endpoint.route
                if body:
                    raise ProblemError(422, _NO_BODY, "unexpected-body")
                name = f"{method} {endpoint.route.path}"
                _check_query(scope["query_string"], endpoint.parameters, name)
                return

    @cached_property
    def _endpoints(self) -> list[_Endpoint]:
        return [
            _Endpoint(
                context,
                compile_path(context.path or "")[0],
                frozenset(context.methods or {_WEBSOCKET}),
                _parameters(getattr(context, "dependant", None)),
            )
            for context in iter_route_contexts(self._routes)
        ]


def _parameters(dependant: Dependant | None) -> list[str]:
    fields = get_flat_params(dependant) if dependant else []
    return [field.alias for field in fields if isinstance(field.field_info, Query)]


def _check_query(query: bytes, known: Sequence[str], endpoint: str) -> None:
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    counts = Counter(name for name, _ in pairs)
    for name, count in counts.items():
        if name not in known:
            short = name[:_LONGEST]
            takes = f"takes {', '.join(known) or 'none'}"
            if not known and endpoint.startswith("POST "):
                takes += " in its address; send its fields in the body"
            detail = f"unknown parameter {short!r}{nearest(short, known)}; {endpoint} {takes}"
            raise ProblemError(422, detail, "unknown-parameter")
        if count > 1:
            detail = f"{name}: this parameter came {count} times; send it once"
            raise ProblemError(422, detail, "repeated-parameter")


def _has_body(scope: Scope) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0 ") != b"")
        for name, value in scope["headers"]
    )
