"""All checks, their report and their history."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from monitor.bounded import bounded
from monitor.health import (
    ages,
    data_quality,
    log_state,
    machine,
    measured,
    model_files,
    trail_state,
)
from monitor.health.log_state import LogState
from monitor.health.verdicts import ORDER, Check, Health
from monitor.settings import MonitorError, Settings
from monitor.store import records
from monitor.store.metric_history import Measurement
from predictions.engine import reason
from stages.common import tables
from stages.common.errors import VersionError
from stages.common.paths import MODELS
from stages.common.running import log
from stages.monitor_params import AlertParams, MonitorParams
from versions.repository.lock import Lock

REPORT = "health.json"
"""The stored report, within `var/monitor/`."""

METRIC = "health"

_ROOT = Path()
_FREE_DISK = "free some space on the disk of SERVE_VAR: the server logs no forecast on a full disk"
_FREE_MEMORY = "see what else runs here; fewer SERVE_WORKERS need less"


def check(
    prediction_log: Engine | str,
    settings: Settings,
    thresholds: MonitorParams,
    now: datetime,
    others: Sequence[Check] = (),
) -> Health:
    """Check everything, store the report and, where the log answers, its history.

    Args:
        prediction_log: the engine of the log, or why there is none.
        settings: of the machine.
        thresholds: of params.yaml.
        now: in UTC.
        others: checks that the caller made.
    """
    bound = log_state.limit(settings.timeout)
    state, known = _read(prediction_log, settings, now)
    lock = model_files.read_lock(_ROOT)
    models = horizons(lock)
    checks = [
        log_state.check(state, settings.timeout, now),
        model_files.check(model_files.look(_ROOT, lock)),
        *_of_data(models, thresholds, now),
    ]
    if state.problem is None:
        current = measured.of_models(known, models)
        minutes = thresholds.schedule.check_minutes
        checks += measured.check(current, thresholds.alerts, models)
        checks.append(measured.check_scheduler(current, minutes, now))
    checks += [*_of_machine(settings, thresholds.alerts), *others]
    if not isinstance(prediction_log, str) and state.problem is None:
        try:
            bounded(lambda: _keep(prediction_log, settings, checks, now), bound)
        except (SQLAlchemyError, OSError) as error:
            lost = LogState(reason(error), state.place)
            checks[0] = log_state.check(lost, settings.timeout, now)
        except MonitorError as error:
            checks.append(trail_state.damaged(error))
    health = Health(tuple(checks))
    _report(settings.folder / REPORT, health, now)
    return health


def _read(
    prediction_log: Engine | str, settings: Settings, now: datetime
) -> tuple[LogState, Sequence[Measurement]]:
    if isinstance(prediction_log, str):
        return LogState(prediction_log), ()
    state = log_state.ask(prediction_log, settings.timeout)
    if state.problem is not None:
        return state, ()
    bound = log_state.limit(settings.timeout)
    try:
        return state, bounded(lambda: _newest(prediction_log, now), bound)
    except (SQLAlchemyError, TimeoutError) as error:
        return LogState(reason(error), state.place), ()


def _newest(engine: Engine, now: datetime) -> Sequence[Measurement]:
    with engine.connect() as connection:
        return measured.newest(connection, now)


def _of_data(models: Iterable[str], thresholds: MonitorParams, now: datetime) -> Iterator[Check]:
    alerts = thresholds.alerts
    bars = ages.look(_ROOT)
    yield ages.check_features(bars, now.date(), alerts.stale_features)
    for horizon in models:
        card = ages.read_card(_ROOT, horizon)
        yield ages.check_model(horizon, card, bars, alerts.stale_model)
    yield data_quality.check(data_quality.look(_ROOT), alerts.min_quality)


def _of_machine(settings: Settings, alerts: AlertParams) -> Iterator[Check]:
    disk, memory = machine.disk(settings.var), machine.memory()
    yield machine.check(machine.DISK, *disk, alerts.min_free_disk, _FREE_DISK)
    yield machine.check(machine.MEMORY, *memory, alerts.min_free_memory, _FREE_MEMORY)


def horizons(lock: Lock | VersionError) -> Mapping[str, str]:
    """The md5 of the graph of each horizon that is checked out."""
    if isinstance(lock, VersionError):
        return {}
    graphs = {
        Path(path).parent.name: entry.md5
        for path, entry in lock.outs.items()
        if Path(path).name == "model.onnx" and Path(path).parent.parent == MODELS
    }
    return dict(sorted(graphs.items()))


def _keep(engine: Engine, settings: Settings, checks: Sequence[Check], now: datetime) -> None:
    with records.writing(engine, settings, now) as writer:
        for each in checks:
            writer.metric(METRIC, ORDER.index(each.status), {**each.tags, "check": each.name})


def _report(path: Path, health: Health, now: datetime) -> None:
    content = {"at": now.isoformat(), **health.document()}
    # The check must go on when the disk is full, since it reports that.
    try:
        with tables.replacing(path) as partial:
            partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        log.warning("health: %s cannot be written: %s", path, error.strerror)
