"""Forecasts for symbols of the revision, and for bars of the caller's own."""

from datetime import date
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Body, Query, Request, Response

from serve import bars, problems, schemas
from serve.schemas import BarsRequest, Prediction, Predictions, PredictRequest, SymbolPredictions
from serve.service import Service, ServiceDep

SymbolQuery = Annotated[
    str | None, Query(min_length=1, max_length=64, description="By default the first.")
]
AsOfQuery = Annotated[
    date | None, Query(description="Forecast from the newest bar up to this day.")
]
Asked = Annotated[PredictRequest | None, Body()]

FAILURES = problems.documented(401, 403, 404, 413, 422, 429, 503)


async def _one(
    service: Service, request: Request, horizon: str, symbol: str | None, as_of: date | None
) -> Response:
    forecaster = service.forecaster
    model = forecaster.model(horizon)
    name = forecaster.symbol(symbol)
    made = forecaster.known(model, name, forecaster.row(name, as_of))
    revision = forecaster.bundle.revision.name
    (answer,) = await service.record([made], revision, request)
    return _json(answer)


def _json(content: Any) -> Response:
    # Built by our own hands from checked values: validating it again would only take time.
    return Response(orjson.dumps(content), media_type="application/json")


def router(horizons: list[str]) -> APIRouter:
    """The endpoints of forecasts.

    Args:
        horizons: those of the revision at hand, each documented as a path of its own.
    """
    routes = APIRouter(tags=["forecasts"], responses=FAILURES)
    for horizon in horizons:
        _add_horizon(routes, horizon)

    @routes.post("/predict", response_model=Predictions)
    async def predict_from_bars(
        service: ServiceDep, request: Request, asked: BarsRequest
    ) -> Response:
        """Forecast from the caller's own bars; the features are computed as in training."""
        forecaster = service.forecaster
        made = await bars.forecasts(forecaster, asked)
        revision = forecaster.bundle.revision.name
        answers = await service.record(made, revision, request)
        return _json({"predictions": answers})

    @routes.post("/predict/{symbol}", response_model=SymbolPredictions | Prediction)
    async def predict_symbol(
        service: ServiceDep, request: Request, symbol: str, asked: Asked = None
    ) -> Response:
        """Forecast every horizon for one symbol, with what such forecasts were worth.

        The name of a horizon is understood as well, before that of a symbol.
        """
        forecaster = service.forecaster
        if symbol in forecaster.bundle.models:
            given = asked or PredictRequest()
            return await _one(service, request, symbol, given.symbol, given.as_of)
        name = forecaster.symbol(symbol)
        row = forecaster.row(name, asked.as_of if asked else None)
        made = [forecaster.known(model, name, row) for model in forecaster.bundle.models.values()]
        revision = forecaster.bundle.revision.name
        answers = await service.record(made, revision, request)
        for answer in answers:
            answer["scores"] = forecaster.bundle.models[answer["horizon"]].scores.get(name)
        return _json({"symbol": name, "predictions": answers})

    return routes


def _add_horizon(routes: APIRouter, horizon: str) -> None:
    async def predict(service: ServiceDep, request: Request, asked: Asked = None) -> Response:
        given = asked or schemas.PredictRequest()
        return await _one(service, request, horizon, given.symbol, given.as_of)

    async def predict_by_query(
        service: ServiceDep,
        request: Request,
        symbol: SymbolQuery = None,
        as_of: AsOfQuery = None,
    ) -> Response:
        return await _one(service, request, horizon, symbol, as_of)

    for method, endpoint in (("POST", predict), ("GET", predict_by_query)):
        routes.add_api_route(
            f"/predict/{horizon}",
            endpoint,
            methods=[method],
            response_model=Prediction,
            summary=f"Forecast the {horizon} horizon",
            operation_id=f"predict_{horizon}_{method.lower()}",
        )
