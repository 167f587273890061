"""The app: `make serve`, or `uvicorn serve.app:app`."""

import gc
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from starlette.exceptions import HTTPException

from serve.edge import problems
from serve.edge.admission import Admission
from serve.edge.guard import Guard
from serve.edge.keyring import Keyring, check_exposure
from serve.edge.parameters import Parameters
from serve.edge.request_log import RequestLog
from serve.observe import access_log
from serve.observe.access_log import AccessLog
from serve.routes import batch, failures, info, live, log, metrics, openapi, pages, plot, predict
from serve.routes.direct import Direct
from serve.server_settings import Settings, check_folder, load
from serve.service import Service
from stages.common.errors import StageError
from versions.repository import lock as locks
from versions.repository.lock import LOCK_FILE

STARTUP_FAILURE = 3
"""Exit status on which uvicorn gives up, instead of starting one worker after the other."""

GARBAGE = 10_000
"""New objects after which Python looks for cycles of garbage. Some thirty requests at once reach
its default of 700 and leave no cycles: the search took a tenth of a request's time."""


def create(settings: Settings) -> FastAPI:
    """Build the app of a project."""
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
        # Those pages load scripts from other sites; serve.routes.pages does not.
        docs_url=None,
        redoc_url=None,
        # Looking for tracers, which are not installed, takes 7 us a request.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        exception_handlers={
            StageError: failures.on_error,
            HTTPException: problems.on_http,
            RequestValidationError: problems.on_invalid,
        },
    )
    app.router.default = problems.no_route
    app.state.service = service
    predict.add(app, _horizons(settings))
    for module in (batch, live, plot, log, metrics, info, pages):
        app.include_router(module.routes)
    openapi.describe(app, keys=service.keyring.required)
    app.add_middleware(Direct, routes=app.routes)
    # The middleware that is added last comes first.
    app.add_middleware(Parameters, routes=app.routes)
    app.add_middleware(Admission, settings=settings, keyring=service.keyring)
    app.add_middleware(Guard, timeout=settings.request_timeout)
    app.add_middleware(
        RequestLog,
        metrics=service.metrics,
        access=AccessLog(settings.log_level),
        secure=settings.tls_certificate is not None,
    )
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-Request-Id"],
            expose_headers=["Batch-Id", "Location", "Retry-After", "X-Request-Id"],
        )
    return app


def serve() -> FastAPI:
    """The app of `python -m serve`, which listens where its settings say."""
    return _app_of_process(knows_host=True)


def _app_of_process(*, knows_host: bool) -> FastAPI:
    """The app of this process, with its settings and logs; a mistake ends the process."""
    try:
        settings = load()
        access_log.configure(settings.log_level)
        keyring = Keyring(settings.keys, settings.keys_file)
        check_exposure(settings, keyring, settings.host if knows_host else None)
        if settings.rate_limit:
            check_folder(settings)
        gc.set_threshold(GARBAGE)
        return create(settings)
    except StageError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(STARTUP_FAILURE) from None


def _horizons(settings: Settings) -> list[str]:
    try:
        stage = locks.read(settings.root / LOCK_FILE).stages["latest"]
    except (StageError, KeyError):
        return []
    return list(stage.params.get("horizons", {}))


def __getattr__(name: str) -> FastAPI:
    # Built on demand: importing this module reads no settings and opens no log.
    if name == "app":
        return _app_of_process(knows_host=False)
    raise AttributeError(name)
