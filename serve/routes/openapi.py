"""The OpenAPI document, with what all endpoints share."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from serve.edge import problems
from serve.edge.keyring import role_for

SCHEME = {
    "type": "http",
    "scheme": "bearer",
    "description": "A key of `python -m serve keys add`.",
}

ALWAYS = (400, 403, 422, 429, 500)
"""Statuses that serve.edge may answer with instead of any endpoint; 500 is a mistake of ours."""

WITH_BODY = (408, 413, 415)


def describe(app: FastAPI, *, keys: bool) -> None:
    """Add to the app's document the role that each endpoint needs, and all that it may answer.

    Args:
        app: with all its routes.
        keys: whether the server has any.
    """

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, keys=keys)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's documentation does it


def _document(app: FastAPI, *, keys: bool) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, summary=app.summary, routes=app.routes
    )
    components = document.setdefault("components", {})
    if keys:
        components["securitySchemes"] = {"key": SCHEME}
    problem = problems.Problem.model_json_schema()
    components.setdefault("schemas", {}).setdefault("Problem", problem)
    for path, methods in document["paths"].items():
        for operation in methods.values():
            _complete(operation, role_for(path) if keys else None)
    return document


def _complete(operation: dict[str, Any], needed: str | None) -> None:
    """Add to an endpoint's document the role that it needs, and all that it may answer."""
    responses = operation["responses"]
    if needed is not None:
        operation["security"] = [{"key": []}]
        text = operation.get("description", "")
        operation["description"] = f"{text}\n\nNeeds a key of role `{needed}`.".lstrip()
    with_body = WITH_BODY if "requestBody" in operation else ()
    for status in (*ALWAYS, *([401, 503] if needed else []), *with_body):
        responses.setdefault(str(status), problems.described(status))
    for response in responses.values():
        # FastAPI adds the media type of its own errors.
        if problems.MEDIA_TYPE in response.get("content", {}):
            response["content"].pop("application/json", None)
    operation["responses"] = dict(sorted(responses.items()))
