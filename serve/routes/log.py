"""The prediction log: what was answered, and ground truth for it."""

from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import Connection

from predictions import queries
from predictions.access import Access
from predictions.group_commit import LogDownError
from predictions.queries import Wanted
from serve.edge import problems
from serve.edge.problems import ProblemError
from serve.schemas import Label, LabelRequest, LoggedPredictions, PredictionInputs
from serve.service import Service, ServiceDep, away
from serve.times import Moment

MOST = 1_000
"""Predictions of one page."""

routes = APIRouter(tags=["log"])


Name = Annotated[
    str | None, Query(min_length=1, max_length=64, pattern="^[^\\x00]+$", description="Only of it.")
]


@routes.post(
    "/labels",
    status_code=201,
    response_model=Label,
    responses=problems.documented(401, 403, 404, 409, 413, 422, 429, 503),
)
async def label(service: ServiceDep, request: Request, given: LabelRequest) -> Response:
    """Ground truth for a past prediction: once, at any time; it is durable when this answers."""
    client, now = request.scope.get("client_name"), datetime.now(UTC)

    def work(connection: Connection) -> dict[str, Any]:
        return queries.label(connection, given, now, client)

    return await _answer(service, service.writes, work, 201)


@routes.get(
    "/predictions",
    response_model=LoggedPredictions,
    responses=problems.documented(401, 403, 422, 429, 503),
)
async def predictions(  # noqa: PLR0913  # each is a part of the query
    service: ServiceDep,
    *,
    symbol: Name = None,
    horizon: Name = None,
    since: Annotated[Moment | None, Query(alias="from", description="Made then or later.")] = None,
    until: Annotated[Moment | None, Query(description="Made before.")] = None,
    labelled: Annotated[bool | None, Query(description="Whether ground truth was sent.")] = None,
    cursor: Annotated[UUID | None, Query(description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 100,
) -> Response:
    """What was answered, newest first, a page at a time; each with its label."""
    wanted = Wanted(symbol, horizon, since, until, labelled)

    def work(connection: Connection) -> dict[str, Any]:
        after = None if cursor is None else str(cursor)
        found, following = queries.page(connection, wanted, after, limit)
        return {"predictions": found, "next": following}

    return await _answer(service, service.reads, work)


@routes.get(
    "/predictions/{identifier}",
    response_model=PredictionInputs,
    responses=problems.documented(401, 403, 404, 422, 429, 503),
)
async def prediction(service: ServiceDep, identifier: UUID) -> Response:
    """One prediction, with the inputs that it was made from, and its label."""
    return await _answer(service, service.reads, lambda found: queries.one(found, str(identifier)))


async def _answer(
    service: Service, access: Access, work: Callable[[Connection], Any], status: int = 200
) -> Response:
    # A thousand predictions take milliseconds to write as JSON: on the thread that read them.
    try:
        body = await access.run(
            lambda connection: orjson.dumps(work(connection), option=orjson.OPT_UTC_Z)
        )
    except LogDownError as error:
        raise away(str(error)) from None
    except ProblemError as error:
        if error.status == HTTPStatus.NOT_FOUND and service.writer.behind:
            # It may be among them.
            raise away("predictions of the spool are on their way into it") from None
        raise
    return Response(body, status, media_type="application/json")
