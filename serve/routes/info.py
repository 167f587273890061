"""What runs, its health, and what can be asked of it."""

from bisect import bisect_left, bisect_right
from datetime import UTC, date, datetime
from typing import Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from serve.answer_schemas import ModelReference
from serve.checkout.bundle import OLD, Bundle
from serve.checkout.challengers import Challengers
from serve.edge import problems
from serve.forecasts.prediction import day, days_since_epoch
from serve.service import Service, ServiceDep
from stages.common.errors import few

NAME = "stock-forecasting-pipeline"

routes = APIRouter(tags=["server"])


class Version(BaseModel):
    """What runs."""

    name: str
    revision: str = Field(description="The commit that is checked out and serves.")
    models: dict[str, ModelReference]
    as_of: date = Field(description="The newest session that the revision knows.")
    loaded_at: datetime
    uptime_seconds: float


State = Literal["ok", "degraded", "down"]


class Check(BaseModel):
    """The state of one part."""

    status: State
    detail: str


class ChallengerHealth(BaseModel):
    """A model that is tried beside the one that serves."""

    mode: Literal["shadow", "canary"] | None = Field(
        description="`shadow`: its forecasts are only logged; `canary`: it answers a share of the "
        "callers; null if it is not used."
    )
    share: float | None = Field(description="Of the callers that a canary answers.")
    model: ModelReference | None
    failures: int = Field(description="Rows that it had no forecast for.")
    detail: str = Field(description="Why it is not used, or why its newest failure; or nothing.")


class Health(BaseModel):
    """The state of the server, and of each of its parts."""

    status: State = Field(description="The worst of the checks.")
    stale: bool | None = Field(
        description="Whether sessions have passed since the newest bar, which is nothing wrong "
        "with the server; null while no revision is loaded."
    )
    checks: dict[str, Check]
    challengers: dict[str, ChallengerHealth] = Field(
        description="By horizon. Whatever is wrong with them, the server is well."
    )


class Symbol(BaseModel):
    """What can be forecast."""

    symbol: str
    first: date = Field(description="Its oldest bar that can be asked for.")
    last: date
    close: float
    stale: bool = Field(
        description="Whether its newest bar is more than 21 sessions behind the newest of all."
    )


class Horizon(BaseModel):
    """How far a forecast reaches."""

    horizon: str
    sessions: int
    model: ModelReference


@routes.get("/", response_model=Version, responses=problems.documented(429, 503))
@routes.get("/version", response_model=Version, responses=problems.documented(429, 503))
async def version(service: ServiceDep) -> Version:
    """What runs: the revision, its models, the newest session that it knows."""
    bundle = service.forecaster.bundle
    return Version(
        name=NAME,
        revision=bundle.revision.name,
        models={
            name: ModelReference.model_validate(bundle.reference(name)) for name in bundle.models
        },
        as_of=bundle.as_of,
        loaded_at=datetime.fromtimestamp(bundle.loaded_at, UTC),
        uptime_seconds=(datetime.now(UTC) - service.started_at).total_seconds(),
    )


@routes.get("/health/live")
async def live() -> Check:
    """Whether the process answers."""
    return Check(status="ok", detail="answers")


UNWELL: dict[int | str, dict[str, Any]] = {
    503: {"model": Health, "description": "It cannot answer predictions."}
}


@routes.get("/health", responses=UNWELL)
@routes.get("/health/ready", responses=UNWELL)
async def health(service: ServiceDep, response: Response) -> Health:
    """Whether predictions can be answered, and for each part what is wrong with it."""
    status, detail = service.writer.health()
    checks = {
        "bundle": _bundle(service),
        "prediction_log": Check(status=status, detail=detail),
        "features": _features(service),
    }
    if service.intervals is not None:
        # Without a correction the model's own intervals are answered.
        detail = service.intervals.problem or "reads the corrections of the monitor"
        checks["adaptive_intervals"] = Check(status="ok", detail=detail)
    states = {check.status for check in checks.values()}
    worst: State = "down" if "down" in states else "degraded" if "degraded" in states else "ok"
    response.status_code = 503 if worst == "down" else 200
    bundle = service.follower.current
    stale = None if bundle is None else _missed(bundle) > 0
    return Health(
        status=worst, stale=stale, checks=checks, challengers=_challengers(service.challengers)
    )


@routes.get("/symbols", responses=problems.documented(401, 403, 429, 503))
async def symbols(service: ServiceDep) -> list[Symbol]:
    """The symbols that can be asked for, in the order of params.yaml."""
    bundle = service.forecaster.bundle
    return [
        Symbol(
            symbol=name,
            first=day(int(rows.days[0])),
            last=day(int(rows.days[-1])),
            close=float(rows.closes[-1]),
            stale=name in bundle.stale,
        )
        for name in dict.fromkeys([*bundle.symbols, *bundle.rows])
        for rows in (bundle.rows[name],)
    ]


@routes.get("/horizons", responses=problems.documented(401, 403, 429, 503))
async def horizons(service: ServiceDep) -> list[Horizon]:
    """The horizons that can be asked for."""
    bundle = service.forecaster.bundle
    return [
        Horizon(
            horizon=name,
            sessions=model.card.sessions,
            model=ModelReference.model_validate(bundle.reference(name)),
        )
        for name, model in bundle.models.items()
    ]


@routes.get("/model/info", responses=problems.documented(401, 403, 429, 503))
async def model_info(service: ServiceDep) -> dict[str, dict[str, Any]]:
    """The model card of every horizon: how its forecast was made, and its scores."""
    return {
        name: {**model.document, "hold_out": model.scores.get("all")}
        for name, model in service.forecaster.bundle.models.items()
    }


def _bundle(service: Service) -> Check:
    current, problem = service.follower.current, service.follower.problem
    if current is None:
        return Check(status="down", detail=problem or "not loaded yet")
    name = current.revision.name
    if problem is not None:
        return Check(status="degraded", detail=f"{problem}; {name} goes on serving")
    return Check(status="ok", detail=f"serves {name}")


def _features(service: Service) -> Check:
    """Of which session the newest bar is, and how many have passed since."""
    bundle = service.follower.current
    if bundle is None:
        return Check(status="down", detail="no revision is loaded")
    detail = f"the newest bar is of {day(bundle.newest)}"
    if missed := _missed(bundle):
        detail += f", {missed} or more sessions ago; `make refresh` brings newer ones"
    if ended := sorted(bundle.stale):
        detail += f"; {few(ended)} ended more than {OLD} sessions before it"
    return Check(status="ok", detail=detail)


def _challengers(challengers: Challengers) -> dict[str, ChallengerHealth]:
    states = {
        horizon: ChallengerHealth(mode=None, share=None, model=None, failures=0, detail=problem)
        for horizon, problem in challengers.refused.items()
    }
    for horizon, challenger in challengers.ready.items():
        reference = challenger.bundle.reference(horizon)
        states[horizon] = ChallengerHealth(
            mode=challenger.announced.mode,
            share=challenger.announced.share,
            model=ModelReference.model_validate(reference),
            failures=challenger.failures,
            detail=challenger.failure,
        )
    return dict(sorted(states.items()))


def _missed(bundle: Bundle) -> int:
    """The sessions between the newest bar and today, by the calendar of the revision."""
    today = days_since_epoch(datetime.now(UTC).date())
    passed = bisect_left(bundle.sessions, today)
    return max(0, passed - bisect_right(bundle.sessions, bundle.newest))
