"""The HTTP status and the kind of each error that a forecast or the prediction log may raise."""

from fastapi import Request, Response

from predictions.engine import LogDownError, LogRefusedError
from predictions.labels import LabelledError, NoReturnError, ObservedTooSoonError, UnlabelledError
from predictions.queries import UnknownPredictionError
from serve.edge import problems
from serve.edge.problems import ProblemError
from serve.forecasts.forecast_errors import (
    InvalidInputError,
    TooManyRowsError,
    UnavailableError,
    UnknownNameError,
)
from stages.common.errors import StageError

PROBLEMS: dict[type[StageError], tuple[int, str, str]] = {
    UnknownNameError: (404, "", "{}"),
    TooManyRowsError: (413, "", "{}"),
    InvalidInputError: (422, "", "{}"),
    UnavailableError: (503, "", "{}"),
    LogDownError: (503, "log-away", "the prediction log is away: {}"),
    LogRefusedError: (422, "log-refused", "the prediction log refuses this: {}"),
    UnknownPredictionError: (404, "unknown-prediction", "{}; GET /predictions lists them"),
    LabelledError: (409, "labelled", "{}"),
    UnlabelledError: (409, "not-labelled", "{}"),
    NoReturnError: (422, "no-return", "{}"),
    ObservedTooSoonError: (422, "observed-too-soon", "{}"),
}
"""Status, kind and text; a `ForecastError` knows its kind itself."""


def problem(error: StageError) -> ProblemError:
    """The problem that tells a caller of an error; others are mistakes of ours, and go on."""
    if type(error) not in PROBLEMS:
        raise error
    status, kind, text = PROBLEMS[type(error)]
    headers = {"Retry-After": "1"} if status == 503 else None  # noqa: PLR2004  # of HTTP
    return ProblemError(status, text.format(error), kind or getattr(error, "kind", ""), headers)


async def on_error(request: Request, error: Exception) -> Response:
    """Answer for a `StageError`."""
    assert isinstance(error, StageError)  # noqa: S101  # registered for this class alone
    return problems.refusal(request.scope, problem(error))
