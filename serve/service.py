"""What a running server holds: the revision that answers, and the log that answers go to."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.types import Scope
from uuid_utils import uuid7

from predictions import migrate
from predictions.access import Access
from predictions.database import Database
from predictions.engine import CONNECTIONS, connect, place
from predictions.group_commit import GroupCommit
from predictions.schema import Row, moment, written
from serve.checkout.bundle import Bundle, Model
from serve.checkout.challengers import FOLDER, Challengers
from serve.checkout.follow import Follower
from serve.edge.keyring import Keyring, KeysError
from serve.forecasts.adaptive_intervals import AdaptiveIntervals
from serve.forecasts.bulk import Bulk
from serve.forecasts.forecast_errors import UnavailableError
from serve.forecasts.forecaster import Forecaster
from serve.forecasts.forecaster import Row as Input
from serve.forecasts.prediction import Forecast, answer
from serve.forecasts.trials import Answered, Trials
from serve.observe.listeners import Live
from serve.observe.prometheus import Metrics
from serve.server_settings import Settings

log = logging.getLogger("serve")

TICK = 1.0
"""Seconds between looks at the key file, and at how many rows wait for the log."""


class Service:
    """One server process.

    Raises:
        LogError: the prediction log cannot be written by this revision.

    Attributes:
        settings: of the server.
        follower: holds the revision that answers.
        challengers: holds the models that are tried beside it.
        trials: forecasts of both.
        intervals: corrects intervals; None if the settings do not ask for it.
        engine: of the prediction log.
        writer: makes its rows durable.
        writes: stores its labels, one at a time.
        reads: reads from it, without keeping a writer waiting.
        live: the feed of new forecasts.
        bulk: answers Arrow streams, and keeps them.
        keyring: the keys that callers may have.
        metrics: the counts for Prometheus.
        started_at: when the process began.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.engine = connect(settings.log_url, settings.log_timeout)
        self._log_problem = migrate.ensure_at_start(self.engine)
        self.keyring = Keyring(settings.keys, settings.keys_file)
        self.challengers = Challengers(settings.root, settings.var / FOLDER)
        self.trials = Trials(self.challengers)
        self.metrics = Metrics(lambda: self.follower.current, lambda: self.challengers.ready)
        self.intervals = (
            None
            if settings.adaptive_intervals == "off"
            else AdaptiveIntervals(settings.working_folder, settings.adaptive_intervals)
        )
        self._forecaster: Forecaster | None = None
        self.follower = Follower(settings.root, settings.revision, self._swapped)
        reading = connect(settings.log_url, settings.log_timeout, read_only=True)
        self.writer = GroupCommit(
            Database(self.engine, reading),
            f"prediction log {place(self.engine)}",
            settings.log_timeout,
            settings.log_backlog,
        )
        self.writes = Access(self.engine, 1, settings.log_timeout)
        self.reads = Access(reading, CONNECTIONS, settings.log_timeout)
        self.bulk = Bulk(settings.working_folder, settings.request_timeout)
        self.live = Live(self.reads, self.bulk.store.folder, settings.log_timeout)
        self.started_at = datetime.now(UTC)

    async def start(self) -> None:
        """Load what is checked out, open the log, begin to follow."""
        self.follower.look()
        self.follower.start()
        self.writer.start(self._log_problem)
        self.bulk.store.clean()
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Write what waits, and end."""
        self._watching.cancel()
        await self.follower.stop()
        await self.writer.stop()
        self.bulk.stop()
        self.writes.close()
        self.reads.close()

    @property
    def forecaster(self) -> Forecaster:
        """The forecasts of the revision that answers.

        Raises:
            UnavailableError: none could be loaded yet.
        """
        if self._forecaster is None:
            raise UnavailableError(
                f"no revision could be loaded: {self.follower.problem}", "no-revision"
            )
        return self._forecaster

    async def forecast(
        self, forecaster: Forecaster, model: Model, row: Input, scope: Scope, *, own: bool = False
    ) -> Answered:
        """Forecast from a bar of the revision, and try the challenger, if there is one.

        Args:
            forecaster: of the revision that answers.
            scope: of the request. The name of its key decides whether a canary answers; where
                callers have no keys, its id does.
            own: whether the revision's own model must answer.

        Raises:
            InvalidInputError: the model of the revision refuses the row.
        """
        caller = None if own else scope.get("client_name") or scope.get("request_id") or ""
        return await self.trials.forecast(forecaster, model, row, caller)

    async def record(
        self, forecasts: Sequence[Forecast], scope: Scope, beside: Sequence[Forecast] = ()
    ) -> list[dict[str, Any]]:
        """Log forecasts; returns them as answers once they are durable.

        Args:
            forecasts: the answers.
            beside: forecasts that are only logged.

        Raises:
            LogDownError: the log is away.
            LogRefusedError: it does not take a forecast.
        """
        now = moment()
        created_at = written(now)
        request: Row = {
            "created_at": now,
            "request_id": scope.get("request_id") or "",
            "client": scope.get("client_name"),
            "role": None,
        }
        answers, rows = [], []
        for forecast in forecasts:
            identifier = str(uuid7())
            answers.append(answer(forecast, identifier, created_at))
            rows.append({"id": identifier, **request, **forecast})
        tried = [{"id": str(uuid7()), **request, **forecast} for forecast in beside]
        await self.writer.append(rows, tried)
        for row in rows:
            self.metrics.predicted(row["horizon"], row["model_md5"])
        for row in (*rows, *tried) if tried else ():
            self.metrics.tried(row["horizon"], row["role"])
        if self.intervals is not None:
            for each in answers:
                self.intervals.correct(each)
        return answers

    async def _watch(self) -> None:
        while True:
            self.metrics.waiting(self.writer.waiting)
            try:
                if self.keyring.refresh():
                    log.info("the API keys are read again")
            except KeysError as error:
                log.error("the former API keys stay: %s", error)  # noqa: TRY400  # no stack
            if self.challengers.changed:
                # Other requests go on while a model is loaded.
                await asyncio.to_thread(self.challengers.look)
            if self.intervals is not None:
                self.intervals.refresh()
            await asyncio.sleep(TICK)

    def _swapped(self, bundle: Bundle) -> None:
        # First: no answer of the new revision goes without its challenger.
        self.challengers.join(bundle)
        self._forecaster = Forecaster(bundle)
        # Every worker follows the same checkout, and tells its own readers.
        self.live.tell("revision", bundle.described())


async def service_of(request: Request) -> Service:
    """The service of the app that a request came to."""
    # FastAPI would run a plain function in a thread, which takes 200 us a request.
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(service_of)]
