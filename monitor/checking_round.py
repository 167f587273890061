"""One round of the monitor: measure, check, and tell people what is not well."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from monitor import gauges
from monitor.alerts import alerting, channel_check, firing
from monitor.alerts.alerting import Update
from monitor.bounded import bounded
from monitor.health import health_check, log_state, trail_state
from monitor.health.log_state import LogState
from monitor.health.verdicts import Check, Health
from monitor.measuring import STEPS, Step
from monitor.settings import MonitorError, Settings
from monitor.store import records
from predictions import engine as engines
from predictions import migrate
from predictions.engine import reason
from stages.common import sections
from stages.common.errors import StageError
from stages.common.running import log
from stages.common.sections import DataParams, Sections
from stages.common.text import first_line
from stages.monitor_params import MonitorParams

MEASURING = "measuring"


class _Data(Sections):
    data: DataParams


@dataclass(frozen=True)
class Round:
    """What a round did."""

    health: Health
    alerts: Update

    def __str__(self) -> str:
        """One line."""
        update = self.alerts
        return (
            f"health {self.health.worst}: {update.running} alerts go on, {update.begun} began, "
            f"{update.ended} ended, {update.waiting} messages wait"
        )


def run(settings: Settings, thresholds: MonitorParams, steps: Mapping[str, Step] = STEPS) -> Round:
    """Measure, check and tell; a step that fails is reported, and the others go on.

    Raises:
        ParamsError: `params.yaml` is wrong.
    """
    today = sections.load(_Data).data.as_of
    now = settings.clock
    with reached(settings) as prediction_log:
        measured = []
        if isinstance(prediction_log, Engine):
            measured = [
                _measured(name, step, settings, thresholds, today) for name, step in steps.items()
            ]
        others = [channel_check.check(settings), *measured]
        health = health_check.check(prediction_log, settings, thresholds, now, others)
        alerts = _tell(prediction_log, settings, thresholds, health)
        if isinstance(prediction_log, Engine):
            _write_gauges(prediction_log, settings)
        return Round(health, alerts)


def _measured(
    name: str, step: Step, settings: Settings, thresholds: MonitorParams, today: date
) -> Check:
    tags = {"step": name}
    try:
        # Large windows may take longer than a request may wait for the log.
        with records.opened(settings) as engine:
            step(engine, settings, thresholds, today)
    except StageError as error:
        words = str(error)
    except Exception as error:  # noqa: BLE001  # a fault in one measurement must not hide the others
        log.exception("%s", name)
        words = f"{type(error).__name__}: {first_line(error)}"
    else:
        return Check(MEASURING, "ok", 0, 0, "went well", tags=tags)
    return Check(MEASURING, "warning", 1, 0, words, f"see `python -m monitor {name}`", tags)


def _tell(
    prediction_log: Engine | str, settings: Settings, thresholds: MonitorParams, health: Health
) -> Update:
    firings = firing.of_checks(health.checks)
    unjudged = firing.unjudged(health.checks)
    is_away = any(each.rule == log_state.NAME and each.severity == "CRITICAL" for each in firings)
    if isinstance(prediction_log, Engine) and not is_away:
        try:
            return alerting.update(prediction_log, settings, thresholds, firings, unjudged)
        except MonitorError as error:
            firings += firing.of_checks([trail_state.damaged(error)])
        except (SQLAlchemyError, StageError, OSError) as error:
            lost = log_state.check(LogState(reason(error)), settings.timeout, settings.clock)
            firings += firing.of_checks([lost])
    return alerting.update(None, settings, thresholds, firings)


def _write_gauges(engine: Engine, settings: Settings) -> None:
    try:
        bounded(lambda: gauges.write(engine, settings), log_state.limit(settings.timeout))
    except (SQLAlchemyError, OSError) as error:
        log.warning("%s cannot be written: %s", settings.folder / gauges.FILE, reason(error))


@contextmanager
def reached(settings: Settings) -> Iterator[Engine | str]:
    """The engine of the log, or why there is none; it raises nothing.

    Unlike `records.opened` it bounds every statement, and checks that need no log still run.
    """
    try:
        engine = engines.connect(settings.log_url, settings.timeout)
    except StageError as error:
        yield str(error)
        return
    try:
        problem = _problem(engine, settings)
        yield engine if problem is None else problem
    finally:
        engine.dispose()


def _problem(engine: Engine, settings: Settings) -> str | None:
    bound = log_state.limit(settings.timeout)
    try:
        bounded(lambda: migrate.ensure(engine), bound)
    except (StageError, SQLAlchemyError, TimeoutError) as error:
        return f"{engines.place(engine)}: {reason(error)}"
    return None
