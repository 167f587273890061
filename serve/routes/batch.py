"""Forecasts of many rows at once: JSON for hundreds, an Arrow stream for hundreds of thousands."""

import asyncio
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from fastapi import APIRouter, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import ValidationError
from starlette.requests import ClientDisconnect
from uuid_utils import uuid7

from predictions.schema import moment, written
from serve.answer_schemas import Batch, ModelReference, Predictions
from serve.edge import problems
from serve.edge.guard import Deadline
from serve.edge.problems import ProblemError
from serve.forecasts import batch_files, stream
from serve.forecasts import rows as batch
from serve.forecasts.batch_files import Meta
from serve.forecasts.forecast_errors import TooManyRowsError
from serve.forecasts.prediction import Forecast
from serve.request_schemas import MOST_ROWS, BatchRequest
from serve.service import Service, ServiceDep

JSON, ARROW, PARQUET = "application/json", stream.MEDIA_TYPE, "application/vnd.apache.parquet"

BATCH_ID = "Batch-Id"
"""The header that names a batch."""

routes = APIRouter(tags=["batches"])


def _schema() -> dict[str, Any]:
    """The schema of a JSON batch: the endpoint reads its body itself, so FastAPI has none."""
    schema = BatchRequest.model_json_schema()
    rows = schema["properties"]["rows"]
    rows["items"] = schema.pop("$defs")["BatchRow"]
    # The limit is SERVE_MAX_BATCH; a batch above it is too large, not of a wrong form.
    del rows["maxItems"]
    return schema


def _binary(media_type: str) -> dict[str, Any]:
    return {media_type: {"schema": {"type": "string", "format": "binary"}}}


@routes.post(
    "/batch-predict",
    response_model=Predictions,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": _schema()}, **_binary(ARROW)},
        }
    },
    responses={
        200: {
            "description": "In the format that was sent.",
            "content": _binary(ARROW),
            "headers": {
                BATCH_ID: {
                    "description": "The id of an Arrow stream at /batches.",
                    "schema": {"type": "string"},
                }
            },
        },
        **problems.documented(400, 401, 403, 404, 408, 413, 415, 422, 429, 503),
    },
)
async def batch_predict(
    service: ServiceDep,
    request: Request,
    horizon: Annotated[
        str | None, Query(min_length=1, max_length=64, description="Of an Arrow stream.")
    ] = None,
) -> Response:
    """Forecast many rows: all of them are answered and logged, or none.

    JSON names bars of the revision or brings the caller's own features. An Arrow IPC stream has a
    column for each feature of the model card, in any order; `key`, `symbol` and `as_of` are passed
    back beside `return`, `lower`, `upper`, `probability` and `scale`.
    """
    kind = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if kind not in (JSON, ARROW):
        raise ProblemError(415, f"the body is {kind}; send {JSON} or {ARROW}", "media-type")
    if kind == ARROW:
        return await _arrow(service, request, horizon)
    try:
        body = BatchRequest.model_validate_json(await _body(request))
    except ValidationError as error:
        # Without the values, which take most time and memory where a large body has many mistakes.
        mistakes = error.errors(include_url=False, include_input=False)
        if mistakes[0]["type"] == "too_long":
            raise TooManyRowsError(f"more than {MOST_ROWS:,}", service.settings.max_batch) from None
        raise RequestValidationError(mistakes) from None
    if horizon not in {None, body.horizon}:
        raise ProblemError(
            422,
            f"horizon: {horizon!r} in the address is not the {body.horizon!r} of the body; leave "
            "it out of the address",
            "two-horizons",
        )
    forecaster = service.forecaster

    def compute() -> tuple[list[Forecast], list[Forecast]]:
        forecasts = batch.forecasts(forecaster, body, service.settings.max_batch)
        return forecasts, service.trials.shadows(forecaster.bundle, forecasts)

    # Other requests go on during these milliseconds of arithmetic.
    forecasts, beside = await asyncio.to_thread(compute)
    answers = await service.record(forecasts, request.scope, beside)
    return Response(orjson.dumps({"predictions": answers}), media_type=JSON)


async def _arrow(service: Service, request: Request, horizon: str | None) -> Response:
    if horizon is None:
        raise ProblemError(
            422, "no horizon; an Arrow stream goes to /batch-predict?horizon=<name>", "no-horizon"
        )
    # An unknown horizon is refused before the rows are read.
    service.forecaster.model(horizon)
    deadline: Deadline = request.scope["deadline"]
    deadline.move(None)
    async with service.bulk.turn():
        deadline.move(service.settings.request_timeout)
        body = await _body(request)
        # No deadline for rows that have arrived.
        deadline.move(None)
        forecaster = service.forecaster
        model, revision = forecaster.model(horizon), forecaster.bundle.revision
        rows = await asyncio.to_thread(stream.read, body, model)
        meta = Meta(
            id=str(uuid7()),
            created_at=written(moment()),
            horizon=horizon,
            sessions=model.card.sessions,
            level=model.card.interval.level,
            rows=rows.table.num_rows,
            revision=revision.name,
            model_md5=model.md5,
            model_version=revision.versions.get(horizon, ""),
            client=request.scope.get("client_name") or "",
            request_id=request.scope.get("request_id") or "",
        )
        answer = await asyncio.to_thread(service.bulk.forecast, rows, model, meta)
    service.metrics.predicted(horizon, model.md5, meta.rows)
    return Response(
        memoryview(answer),
        headers={BATCH_ID: meta.id, "Location": f"/batches/{meta.id}"},
        media_type=ARROW,
    )


async def _body(request: Request) -> bytes:
    """The body of a request, which serve.edge.guard bounds in bytes and in time."""
    try:
        return await request.body()
    except ClientDisconnect:
        raise ProblemError(400, "the body was cut off", "body-cut-off") from None


@routes.get(
    "/batches/{identifier}",
    response_model=Batch,
    responses={
        200: {"content": {**_binary(PARQUET), **_binary(ARROW)}},
        **problems.documented(401, 403, 404, 422, 429, 503),
    },
)
async def batch_of(
    service: ServiceDep,
    identifier: UUID,
    form: Annotated[
        Literal["json", "parquet", "arrow"],
        Query(alias="format", description="Its description, its Parquet file, or a stream of it."),
    ] = "json",
) -> Response:
    """An Arrow stream that was answered: its description, or its rows with their forecasts."""
    path = service.bulk.store.path(identifier)
    try:
        schema = await asyncio.to_thread(pq.read_schema, path)
        meta = Meta.of(schema.metadata)
        size = path.stat().st_size
    except FileNotFoundError:
        raise ProblemError(
            404, f"no batch {identifier}; a single prediction is at /predictions", "unknown-batch"
        ) from None
    except (OSError, pa.ArrowException, ValueError) as error:
        raise ProblemError(503, f"{path.name} cannot be read: {error}", "store-away") from None
    headers = {BATCH_ID: meta.id}
    if form == "parquet":
        return FileResponse(path, media_type=PARQUET, filename=path.name, headers=headers)
    if form == "arrow":
        return StreamingResponse(_rows(path), media_type=ARROW, headers=headers)
    model = ModelReference(
        revision=meta.revision, md5=meta.model_md5, version=meta.model_version or None
    )
    described = Batch.model_validate(
        {**meta.model_dump(), "columns": schema.names, "size": size, "model": model}
    )
    return Response(described.model_dump_json(), media_type=JSON, headers=headers)


def _rows(path: Path) -> Iterator[bytes]:
    """A batch's file as an Arrow stream, some thousand rows at a time."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, pq.read_schema(path)) as writer:
        for rows in batch_files.read(path):
            writer.write_batch(rows)
            yield sink.getvalue()
            sink.seek(0)
            sink.truncate()
    yield sink.getvalue()
