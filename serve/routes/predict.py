"""Forecasts for symbols of the revision, and for bars of the caller's own."""

from enum import Enum
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Body, FastAPI, Query, Request, Response
from fastapi.routing import APIRoute
from starlette.types import Scope

from serve.answer_schemas import HorizonPrediction, Predictions, SymbolPredictions
from serve.edge import problems
from serve.edge.problems import ProblemError
from serve.forecasts import next_bars
from serve.forecasts.explanation import explanation
from serve.forecasts.remarks import remarks
from serve.request_schemas import BarsRequest, PredictRequest
from serve.routes.direct import DirectRoute
from serve.routes.failures import problem
from serve.service import Service, ServiceDep
from serve.times import Day
from stages.common.errors import StageError

SymbolQuery = Annotated[
    str | None, Query(min_length=1, max_length=64, description="By default the first.")
]
AsOfQuery = Annotated[Day | None, Query(description="Forecast from the newest bar up to this day.")]
ExplainQuery = Annotated[
    bool, Query(description="Whether the answer says what each feature contributes.")
]
PredictBody = Annotated[PredictRequest | None, Body()]

TAGS: list[str | Enum] = ["forecasts"]
FAILURES = problems.documented(401, 403, 404, 413, 422, 429, 503)

routes = APIRouter(tags=TAGS, responses=FAILURES)


async def _one(service: Service, scope: Scope, horizon: str, request: PredictRequest) -> bytes:
    forecaster = service.forecaster
    model = forecaster.model(horizon)
    name = forecaster.symbol(request.symbol)
    row = forecaster.row(model, name, request.as_of)
    # First: a request that is refused leaves nothing in the log.
    why = explanation(model, row) if request.explain else None
    # The features of a challenger are not explained.
    answered = await service.forecast(forecaster, model, row, scope, own=request.explain)
    (answer,) = await service.record([answered.forecast], scope, answered.beside)
    answer.update(remarks(answered.bundle, answered.model, answered.row))
    if why is not None:
        answer["explanation"] = why
    return orjson.dumps(answer)


def _json(content: bytes) -> Response:
    # Made of checked values: FastAPI's validation of answers would only take time.
    return Response(content, media_type="application/json")


def add(app: FastAPI, horizons: list[str]) -> None:
    """Add the endpoints of forecasts.

    Args:
        horizons: of the revision that is checked out, each documented as a path of its own.
    """
    for horizon in horizons:
        app.router.routes.extend(_of_horizon(app.state.service, horizon))
    app.include_router(routes)


@routes.post("/predict", response_model=Predictions)
async def predict_from_bars(service: ServiceDep, request: Request, body: BarsRequest) -> Response:
    """Forecast from the caller's own bars; the features are computed as in training."""
    forecaster = service.forecaster
    forecasts = await next_bars.forecasts(forecaster, body)
    answers = await service.record(forecasts, request.scope)
    return _json(orjson.dumps({"predictions": answers}))


@routes.post("/predict/{symbol}", response_model=SymbolPredictions | HorizonPrediction)
async def predict_symbol(
    service: ServiceDep, request: Request, symbol: str, body: PredictBody = None
) -> Response:
    """Forecast every horizon for one symbol, with the scores of such forecasts.

    A name that is both a horizon and a symbol means the horizon.
    """
    return _json(await _named(service, request.scope, symbol, body or PredictRequest()))


@routes.get("/predict/{symbol}", response_model=SymbolPredictions | HorizonPrediction)
async def predict_symbol_by_query(  # noqa: PLR0913  # each is a part of the query
    service: ServiceDep,
    request: Request,
    symbol: str,
    *,
    of: Annotated[
        str | None,
        Query(alias="symbol", min_length=1, max_length=64, description="Of a horizon's forecast."),
    ] = None,
    as_of: AsOfQuery = None,
    explain: ExplainQuery = False,
) -> Response:
    """Forecast every horizon for one symbol, or one horizon by its name."""
    # FastAPI has checked them.
    fields = PredictRequest.model_construct(symbol=of, as_of=as_of, explain=explain)
    return _json(await _named(service, request.scope, symbol, fields))


async def _named(service: Service, scope: Scope, name: str, request: PredictRequest) -> bytes:
    """Answer for a name in the path: a horizon, perhaps of a later revision, or a symbol."""
    forecaster = service.forecaster
    models = forecaster.bundle.models
    if name in models:
        return await _one(service, scope, name, request)
    symbol = forecaster.symbol(name, also=models)
    if request.symbol not in {None, symbol}:
        raise ProblemError(
            422,
            f"symbol: {request.symbol!r} is not the {symbol} of the path; leave it out",
            "two-symbols",
        )
    rows = {name: forecaster.row(model, symbol, request.as_of) for name, model in models.items()}
    why = {name: explanation(models[name], row) for name, row in rows.items() if request.explain}
    answered = [
        await service.forecast(forecaster, models[name], row, scope, own=request.explain)
        for name, row in rows.items()
    ]
    beside = [forecast for each in answered for forecast in each.beside]
    answers = await service.record([each.forecast for each in answered], scope, beside)
    for answer, each in zip(answers, answered, strict=True):
        horizon = answer["horizon"]
        answer.update(remarks(each.bundle, each.model, each.row))
        answer["scores"] = each.model.scores.get(symbol)
        if request.explain:
            answer["explanation"] = why[horizon]
    stale = symbol in forecaster.bundle.stale
    return orjson.dumps({"symbol": symbol, "stale": stale, "predictions": answers})


def _of_horizon(service: Service, horizon: str) -> list[APIRoute]:
    """The endpoints of one horizon; most requests go to the first."""

    async def direct(scope: Scope, body: PredictRequest) -> bytes:
        try:
            return await _one(service, scope, horizon, body)
        except StageError as error:
            # A direct answer does not pass FastAPI's exception handlers.
            raise problem(error) from None

    async def predict(request: Request, body: PredictBody = None) -> Response:
        return _json(await direct(request.scope, body or PredictRequest()))

    async def predict_by_query(
        request: Request,
        symbol: SymbolQuery = None,
        as_of: AsOfQuery = None,
        *,
        explain: ExplainQuery = False,
    ) -> Response:
        # FastAPI has checked them.
        fields = PredictRequest.model_construct(symbol=symbol, as_of=as_of, explain=explain)
        return _json(await _one(service, request.scope, horizon, fields))

    path = f"/predict/{horizon}"
    options: dict[str, Any] = {
        "response_model": HorizonPrediction,
        "summary": f"Forecast the {horizon} horizon",
        "tags": [*TAGS],
        "responses": FAILURES,
    }
    post = {**options, "methods": ["POST"], "operation_id": f"predict_{horizon}_post"}
    get = {**options, "methods": ["GET"], "operation_id": f"predict_{horizon}_get"}
    return [
        DirectRoute(path, predict, direct=direct, body=PredictRequest, **post),
        APIRoute(path, predict_by_query, **get),
    ]
