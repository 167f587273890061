"""The HTTP status of each error that a forecast may raise."""

from fastapi import Request, Response

from serve.edge import problems
from serve.edge.problems import ProblemError
from serve.forecasts.forecast_errors import (
    ForecastError,
    InvalidInputError,
    TooManyRowsError,
    UnavailableError,
    UnknownNameError,
)

RETRY_AFTER = {"Retry-After": "1"}

STATUSES: dict[type[ForecastError], int] = {
    UnknownNameError: 404,
    TooManyRowsError: 413,
    InvalidInputError: 422,
    UnavailableError: 503,
}


def problem(error: ForecastError) -> ProblemError:
    """The problem that tells a caller of an error."""
    headers = RETRY_AFTER if isinstance(error, UnavailableError) else None
    return ProblemError(STATUSES[type(error)], str(error), error.kind, headers)


async def on_forecast_error(request: Request, error: Exception) -> Response:
    """Answer for a `ForecastError`."""
    assert isinstance(error, ForecastError)  # noqa: S101  # registered for this class alone
    return problems.refusal(request.scope, problem(error))
