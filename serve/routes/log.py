"""The prediction log: forecasts that were answered, and ground truth for them."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import Connection, RowMapping
from starlette.types import Scope

from predictions import labels, queries
from predictions.access import Access
from predictions.engine import LogDownError, LogRefusedError
from predictions.queries import Selection
from predictions.schema import written
from serve.edge import problems
from serve.edge.problems import ProblemError
from serve.forecasts.prediction import Forecast, answer
from serve.routes.failures import RETRY_AFTER
from serve.schemas import Label, LabelRequest, LoggedPredictions, PredictionInputs, Symbol
from serve.service import Service, ServiceDep
from serve.times import Moment
from stages.common.errors import StageError

MOST = 1_000
"""Predictions of one page."""

routes = APIRouter(tags=["log"])

Name = Annotated[Symbol | None, Query(description="Only of it.")]


async def record(
    service: Service, forecasts: Sequence[Forecast], scope: Scope
) -> list[dict[str, Any]]:
    """Log forecasts; returns them as answers once they are durable.

    Raises:
        ProblemError: 503, the log is away; 422, it does not take a forecast.
    """
    try:
        return await service.record(forecasts, scope)
    except StageError as error:
        raise _problem(error) from None


@routes.post(
    "/labels",
    status_code=201,
    response_model=Label,
    responses=problems.documented(401, 403, 404, 409, 413, 422, 429, 503),
)
async def label(service: ServiceDep, request: Request, given: LabelRequest) -> Response:
    """Ground truth for a past prediction: once, at any time; it is durable when this answers."""
    new = labels.Label(
        str(given.prediction_id),
        given.actual_return,
        given.actual_close,
        given.observed_at,
        request.scope.get("client_name"),
    )
    now = datetime.now(UTC)
    return await _answer(service.writes, lambda connection: labels.add(connection, new, now), 201)


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
    """Forecasts that were answered, newest first, a page at a time; each with its label."""
    selection = Selection(symbol, horizon, since, until, labelled)

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
    """One prediction, with the inputs that it was made from, and its label."""

    def one(connection: Connection) -> dict[str, Any]:
        row = queries.one(connection, str(identifier))
        return {**_logged(row), "inputs": orjson.loads(row["inputs"]), "scale": row["scale"]}

    return await _answer(service.reads, one)


def _logged(row: RowMapping) -> dict[str, Any]:
    """A row in the shape of `schemas.LoggedPrediction`."""
    return {
        **answer(dict(row), row["id"], written(row["created_at"])),
        "source": row["source"],
        "client": row["client"],
        "request_id": row["request_id"],
        "label": labels.of(row),
    }


async def _answer(
    access: Access, function: Callable[[Connection], Any], status: int = 200
) -> Response:
    # A thousand predictions take milliseconds to write as JSON: on the thread that read them.
    try:
        body = await access.run(
            lambda connection: orjson.dumps(function(connection), option=orjson.OPT_UTC_Z)
        )
    except StageError as error:
        raise _problem(error) from None
    return Response(body, status, media_type="application/json")


def _problem(error: StageError) -> ProblemError:
    match error:
        case LogDownError():
            return ProblemError(
                503, f"the prediction log is away: {error}", "log-away", RETRY_AFTER
            )
        case LogRefusedError():
            return ProblemError(422, f"the prediction log refuses this: {error}", "log-refused")
        case queries.UnknownPredictionError():
            return ProblemError(404, f"{error}; GET /predictions lists them", "unknown-prediction")
        case labels.LabelledError():
            return ProblemError(409, str(error), "labelled")
        case labels.NoReturnError():
            return ProblemError(422, str(error), "no-return")
        case _:
            raise error
