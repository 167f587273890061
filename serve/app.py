"""The app: `uvicorn serve.app:app`, or `make serve`."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from serve import problems
from serve.routes import batch, info, live, log, plot, predict
from serve.service import Service
from serve.settings import Settings, load
from stages.errors import StageError
from stages.versions import lock as locks
from stages.versions.lock import LOCK_FILE

STARTUP_FAILURE = 3
"""Exit status on which uvicorn gives up, instead of starting one worker after the other."""


def create(settings: Settings | None = None) -> FastAPI:
    """Build the app of a project."""
    settings = settings or load()
    service = Service(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        yield
        await service.stop()

    app = FastAPI(
        title="Stock forecasts",
        summary="Forecasts of returns, from whatever model revision is checked out.",
        version="1",
        lifespan=lifespan,
        exception_handlers={
            problems.ProblemError: problems.on_problem,
            HTTPException: problems.on_http,
            RequestValidationError: problems.on_invalid,
        },
    )
    app.state.service = service
    predict.add(app, _horizons(settings))
    app.include_router(batch.routes)
    app.include_router(live.routes)
    app.include_router(plot.routes)
    app.include_router(log.routes)
    app.include_router(info.routes)
    return app


def _horizons(settings: Settings) -> list[str]:
    try:
        stage = locks.read(settings.root / LOCK_FILE).stages["latest"]
    except (StageError, KeyError):
        return []
    return list(stage.params.get("horizons", {}))


def __getattr__(name: str) -> FastAPI:
    # Built on demand: importing this module reads no settings and opens no log.
    if name == "app":
        try:
            return create()
        except StageError as error:
            sys.stderr.write(f"error: {error}\n")
            raise SystemExit(STARTUP_FAILURE) from None
    raise AttributeError(name)
