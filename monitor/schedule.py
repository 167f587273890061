"""Which commands run when: checks, refreshes and retraining, by `monitor.schedule` of params."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from monitor import exchange_hours
from monitor.drift.drift_check import DRIFT
from monitor.scheduler import CHANGING, Job, Scheduler
from monitor.settings import Settings
from stages.common.errors import StageError
from stages.common.running import log
from stages.monitor_params import ScheduleParams

RETRAINING: dict[str, dict[str, Any]] = {
    "weekly": {"day_of_week": "sat", "hour": 6},
    "monthly": {"day": "1st sat", "hour": 6},
}
"""When the whole pipeline runs, in the time zone of the exchange: at a weekend."""

REFUSED = 2
"""Exit status of a retraining whose conditions do not hold."""

AGAIN = (3600.0, 3)
"""A refresh that failed, because the source is late for instance, is tried again in an hour."""


class AfterClose(BaseTrigger):  # type: ignore[misc]  # APScheduler has no types
    """Due some time after each close of an exchange."""

    def __init__(self, calendar: str, delay: timedelta) -> None:
        self._calendar, self._delay = calendar, delay

    def get_next_fire_time(self, _: datetime | None, now: datetime) -> datetime:
        """The next time after `now`; a day later if the calendar does not say."""
        try:
            return exchange_hours.next_close(self._calendar, now, self._delay)
        except StageError as error:
            log.error("refresh: %s", error)
            return now + timedelta(days=1)


@dataclass
class Proposals:
    """Proposes a retraining after a check that found drift, once for each newest session.

    Whether one is due is decided by the conditions of the retraining.
    """

    settings: Settings
    _proposed: set[tuple[str, str]] = field(default_factory=set)

    def __call__(self, scheduler: Scheduler) -> None:
        """Look at what the check has written."""
        alarms = set()
        for path in sorted((self.settings.folder / DRIFT).glob("*.json")):
            drift = json.loads(path.read_text(encoding="utf-8"))
            if drift["alarm"]:
                alarms.add((drift["horizon"], drift["last"]))
        if alarms - self._proposed:
            drifted = ", ".join(sorted(horizon for horizon, _ in alarms))
            log.info("check: drift of %s, so a retraining is proposed", drifted)
            command = _monitor("retrain", "--reason", "drift")
            scheduler.add(Job("retrain after drift", command, queue=CHANGING, well=(0, REFUSED)))
        self._proposed |= alarms


def jobs(
    settings: Settings, schedule: ScheduleParams, calendar: str, every: timedelta
) -> list[Job]:
    """The jobs of a schedule.

    Args:
        settings: of the monitor.
        schedule: of `params.yaml`, or of the command line.
        calendar: of the exchange.
        every: time between two checks.

    Raises:
        MonitorError: exchange_calendars does not know the calendar.
    """
    zone = exchange_hours.zone(calendar)
    planned = [
        Job(
            "check",
            _monitor("check"),
            IntervalTrigger(seconds=every.total_seconds()),
            at_start=True,
            then=Proposals(settings),
        )
    ]
    planned += [
        Job(name, _monitor(*words), IntervalTrigger(hours=1), queue=CHANGING)
        for name, words in (("rollback", ("rollback", "--check")), ("judge", ("judge",)))
    ]
    if schedule.refresh != "never":
        after = AfterClose(calendar, timedelta(minutes=schedule.after_close))
        planned.append(
            Job("refresh", _monitor("refresh"), after, at_start=True, queue=CHANGING, again=AGAIN)
        )
    if schedule.retrain != "never":
        weekend = CronTrigger(timezone=zone, **RETRAINING[schedule.retrain])
        command = _monitor("retrain", "--reason", "schedule")
        planned.append(Job("retrain", command, weekend, queue=CHANGING, well=(0, REFUSED)))
    return planned


def _monitor(*words: str) -> Sequence[str]:
    return ("-m", "monitor", *words)
