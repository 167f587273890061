"""One symbol: its chart, and the scores of its forecasts."""

import asyncio
from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from predictions import queries
from predictions.engine import LogDownError
from predictions.queries import Selection
from serve.answer_schemas import ModelReference, Scores
from serve.edge import problems
from serve.edge.problems import ProblemError
from serve.forecasts import chart
from serve.forecasts.chart import MOST
from serve.service import Service, ServiceDep
from serve.times import Day

FAILURES = problems.documented(401, 403, 404, 422, 429, 503)

routes = APIRouter(tags=["symbols"])

MOST_LOGGED = 1_000
"""Logged predictions of one chart, the newest."""

Numbers = list[float | None]


class Chart(BaseModel):
    """Columns of equal length, one value a session, oldest first; ready to draw over `dates`."""

    symbol: str
    horizon: str
    sessions: int = Field(description="Length of the horizon.")
    level: float = Field(description="Share of outcomes that an interval should hold.")
    model: ModelReference
    dates: list[date]
    close: Numbers = Field(description="As traded; null for sessions ahead.")
    open: Numbers = Field(
        description="Of the bar, like the next four; null where the revision keeps the close alone."
    )
    high: Numbers
    low: Numbers
    adj_close: Numbers = Field(description="Adjusted for splits and dividends.")
    volume: Numbers
    as_of: list[date | None] = Field(
        description="Session that the forecast for this one was made from; null if there is none."
    )
    predicted_return: Numbers
    lower_return: Numbers
    upper_return: Numbers
    predicted_close: Numbers = Field(
        description="From the close of `as_of` as traded: a split in between is not in it."
    )
    lower_close: Numbers
    upper_close: Numbers
    probability_of_rise: Numbers
    actual_return: Numbers = Field(
        description="What came of a forecast of the hold-out, splits and dividends included; null "
        "where it is not known."
    )
    logged: dict[str, list[Any]] | None = Field(
        description="Predictions of the log for these sessions, the newest 1,000, by column, with "
        "their outcomes where ground truth was sent; null while the log is away."
    )


class SymbolScores(BaseModel):
    """Scores of the forecasts of one symbol on bars that no model had seen."""

    symbol: str
    revision: str
    horizons: dict[str, Scores | None] = Field(
        description="Null where the horizon's hold-out has no bars of the symbol."
    )


@routes.get("/plot/{symbol}", response_model=Chart, responses=FAILURES)
async def plot_of(  # noqa: PLR0913  # each is a part of the query
    service: ServiceDep,
    symbol: str,
    *,
    horizon: Annotated[str | None, Query(description="By default the first.")] = None,
    first: Annotated[Day | None, Query(alias="from", description="First session.")] = None,
    until: Annotated[Day | None, Query(description="Last session.")] = None,
    last: Annotated[
        int, Query(ge=1, le=MOST, description="At most so many sessions, the newest.")
    ] = 252,
) -> Response:
    """Bars, forecasts and intervals by session: of the hold-out, of newer bars, and logged."""
    forecaster = service.forecaster
    bundle = forecaster.bundle
    name = forecaster.symbol(symbol)
    model = forecaster.model(horizon or next(iter(bundle.models)))
    if first is not None and until is not None and first > until:
        raise ProblemError(422, f"from {first} is after until {until}", "empty-span")

    def compute() -> dict[str, Any]:
        table = chart.chart(bundle, model, name, first=first, until=until, last=last)
        return {
            "symbol": name,
            "horizon": model.name,
            "sessions": model.card.sessions,
            "level": model.card.interval.level,
            "model": bundle.reference(model.name),
            "dates": table["date"].to_list(),
            **{column: table[column].to_list() for column in table.columns if column != "date"},
        }

    columns = await asyncio.to_thread(compute)
    columns["logged"] = await _logged(service, name, model.name, columns["dates"])
    return Response(orjson.dumps(columns), media_type="application/json")


async def _logged(
    service: Service, symbol: str, horizon: str, dates: Sequence[date]
) -> dict[str, list[Any]] | None:
    """The predictions of the log for these sessions; None while the log is away."""
    # A span without a session in it has none.
    first, until = (dates[0], dates[-1]) if dates else (date.max, date.min)
    try:
        return await service.reads.run(
            lambda connection: queries.for_sessions(
                connection, Selection(symbol, horizon), first, until, MOST_LOGGED
            )
        )
    except LogDownError:
        return None


@routes.get("/metrics/{symbol}", responses=FAILURES)
async def metrics_of(service: ServiceDep, symbol: str) -> SymbolScores:
    """Scores of a symbol's forecasts on the hold-out, for every horizon."""
    forecaster = service.forecaster
    name = forecaster.symbol(symbol)
    bundle = forecaster.bundle
    horizons = {
        horizon: Scores.model_validate(model.scores[name]) if name in model.scores else None
        for horizon, model in bundle.models.items()
    }
    return SymbolScores(symbol=name, revision=bundle.revision.name, horizons=horizons)
