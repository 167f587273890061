"""Metrics for Prometheus."""

from fastapi import APIRouter, Request, Response

from serve.service import ServiceDep

routes = APIRouter(tags=["server"])


@routes.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {
            "description": "The exposition format of Prometheus, or OpenMetrics if asked for.",
            "content": {
                "text/plain": {"schema": {"type": "string"}},
                "application/openmetrics-text": {"schema": {"type": "string"}},
            },
        }
    },
)
async def metrics(service: ServiceDep, request: Request) -> Response:
    """Requests, latencies, errors, forecasts by model, what waits; of all workers together."""
    page, media_type = service.metrics.page(request.headers.get("accept", ""))
    return Response(page, headers={"Content-Type": media_type})
