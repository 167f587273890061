"""The prediction log: forecasts that were answered, and ground truth for them."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import Connection, RowMapping

from predictions import labels, queries
from predictions.access import Access
from predictions.queries import Selection
from predictions.schema import moment, written
from serve.answer_schemas import Label, LoggedPredictions, PredictionInputs
from serve.edge import problems
from serve.forecasts.prediction import answer
from serve.request_schemas import LabelRequest, Symbol
from serve.service import ServiceDep
from serve.times import Moment

MOST = 1_000
"""Predictions of one page."""

routes = APIRouter(tags=["log"])

Name = Annotated[Symbol | None, Query(description="Only of it.")]


@routes.post(
    "/labels",
    status_code=201,
    response_model=Label,
    responses=problems.documented(401, 403, 404, 409, 413, 422, 429, 503),
)
async def label(service: ServiceDep, request: Request, body: LabelRequest) -> Response:
    """Ground truth for a past prediction, at any time; it is durable when this answers.

    A second label is refused, unless it is a `correction`: then the former is kept beside it.
    """
    new = {
        **body.model_dump(exclude={"correction"}),
        "prediction_id": str(body.prediction_id),
        "created_at": datetime.now(UTC),
        "client": request.scope.get("client_name"),
    }
    store = labels.correct if body.correction else labels.add
    return await _answer(service.writes, lambda connection: store(connection, new), 201)


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
    role: Annotated[
        Literal["champion", "shadow", "canary"] | None,
        Query(
            description="Of its model: `champion` is that of the revision; by default any, also "
            "`shadow`, which was only logged."
        ),
    ] = None,
    cursor: Annotated[UUID | None, Query(description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 100,
) -> Response:
    """Logged forecasts, newest first, a page at a time; each with its label."""
    selection = Selection(symbol, horizon, since, until, labelled, role)

    def page(connection: Connection) -> dict[str, Any]:
        after = None if cursor is None else str(cursor)
        rows, following = queries.page(connection, selection, after, limit)
        return {"predictions": [_logged(row) for row in rows], "next": following}

    return await _answer(service.reads, page)


@routes.get(
    "/predictions/{identifier}",
    response_model=PredictionInputs,
    responses=problems.documented(401, 403, 404, 422, 429, 503),
)
async def prediction(service: ServiceDep, identifier: UUID) -> Response:
    """One prediction, with the inputs that it was made from, its label, and those corrected."""

    def one(connection: Connection) -> dict[str, Any]:
        row = queries.one(connection, str(identifier))
        return {
            **_logged(row),
            "former_labels": labels.former(connection, row["id"]),
            "inputs": orjson.loads(row["inputs"]),
            "scale": row["scale"],
        }

    return await _answer(service.reads, one)


def _logged(row: RowMapping) -> dict[str, Any]:
    """A row in the shape of `answer_schemas.LoggedPrediction`."""
    return {
        **answer(dict(row), row["id"], written(moment(row["created_at"]))),
        "source": row["source"],
        "client": row["client"],
        "request_id": row["request_id"],
        "label": labels.of(row),
    }


async def _answer(
    access: Access, function: Callable[[Connection], Any], status: int = 200
) -> Response:
    # A thousand predictions take milliseconds to write as JSON: on the thread that read them.
    body = await access.run(
        lambda connection: orjson.dumps(function(connection), option=orjson.OPT_UTC_Z)
    )
    return Response(body, status, media_type="application/json")
