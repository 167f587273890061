"""What drift, performance, labels and the scheduler last measured, from the table of metrics."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from monitor.health.verdicts import Check, nothing_yet
from monitor.store import metric_history
from monitor.store.metric_history import Measurement
from stages.monitor_params import AlertParams

DRIFT_SHARE = "drift_share"
DRIFT_FEATURES = "drift_features"
DRIFT_ALARM = "drift_alarm"
DEGRADED = "degraded"
LABEL_COVERAGE = "label_coverage"
SCHEDULER = "scheduler"
SCHEDULER_RUN = "scheduler_run"

NAMES = (DRIFT_SHARE, DRIFT_FEATURES, DRIFT_ALARM, DEGRADED, LABEL_COVERAGE, SCHEDULER_RUN)
"""Metrics that are read."""

RECENT = timedelta(days=7)
"""What was measured longer ago says nothing about today."""

OVERDUE = 3
"""A job that runs every few minutes is overdue after so many turns."""


def newest(connection: Connection, now: datetime) -> list[Measurement]:
    """The newest measurement of each of `NAMES` and each of its tags, sorted by name and tags."""
    return metric_history.newest(connection, now - RECENT, NAMES, until=now)


def of_models(measured: Sequence[Measurement], models: Mapping[str, str]) -> list[Measurement]:
    """The measurements of horizons and models that are checked out, and those of neither.

    Args:
        measured: any.
        models: md5 by horizon.
    """

    def is_current(tags: Mapping[str, str]) -> bool:
        horizon, model = tags.get("horizon"), tags.get("model")
        if horizon is not None and horizon not in models:
            return False
        served = list(models.values()) if horizon is None else [models[horizon]]
        return model is None or any(md5.startswith(model) for md5 in served)

    return [each for each in measured if is_current(each.tags)]


def check(
    measured: Sequence[Measurement], thresholds: AlertParams, horizons: Collection[str]
) -> list[Check]:
    """Drift, performance and label coverage of each horizon.

    Args:
        measured: the newest values, of models that are checked out.
        thresholds: of alerts.
        horizons: that are checked out.
    """
    kinds = {
        DRIFT_SHARE: (_drift_share, "no drift was measured yet: `python -m monitor drift`"),
        DRIFT_FEATURES: (_drift_features, "no drift was measured yet: `python -m monitor drift`"),
        DRIFT_ALARM: (_drift_alarm, "no drift was measured yet: `python -m monitor drift`"),
        DEGRADED: (_degraded, "no performance yet: `python -m monitor performance`"),
        LABEL_COVERAGE: (_coverage, "no forecast is due yet"),
    }
    checks = []
    for name, (judge, nothing) in kinds.items():
        known = [each for each in measured if each.name == name and each.value is not None]
        checks += [judge(each, float(each.value or 0), thresholds) for each in known]
        judged = {each.tags.get("horizon") for each in known}
        # A metric without a horizon is about all of them.
        checks += [
            nothing_yet(name, nothing, {"horizon": horizon})
            for horizon in sorted(set(horizons) - judged)
            if None not in judged
        ]
    return checks


def _at(measured: Measurement) -> str:
    return f"measured {measured.at:%Y-%m-%d %H:%M} UTC"


def _drift_share(measured: Measurement, value: float, thresholds: AlertParams) -> Check:
    most = thresholds.max_drifted_share
    return _drifted(measured, value, most, f"{value:.0%} of the features have drifted")


def _drift_features(measured: Measurement, value: float, thresholds: AlertParams) -> Check:
    return _drifted(measured, value, thresholds.max_drifted, f"{value:g} features have drifted")


def _drifted(measured: Measurement, value: float, most: float, words: str) -> Check:
    has_drifted = value > most
    horizon = measured.tags.get("horizon", "<horizon>")
    return Check(
        measured.name,
        "warning" if has_drifted else "ok",
        value,
        most,
        f"{words}, {_at(measured)}",
        f"see var/monitor/drift/{horizon}.html, then the source of these features"
        if has_drifted
        else "",
        measured.tags,
    )


def _drift_alarm(measured: Measurement, value: float, _: AlertParams) -> Check:
    differs = value > 0
    words = "differs from the training table more than" if differs else "differs no more than"
    return Check(
        DRIFT_ALARM,
        "ok",
        value,
        0,
        f"the window of forecasts {words} chance allows, {_at(measured)}",
        "nothing to do: a challenger may be proposed" if differs else "",
        measured.tags,
        info=differs,
    )


def _degraded(measured: Measurement, value: float, _: AlertParams) -> Check:
    is_worse = value > 0
    words = "is worse than its hold-out promised" if is_worse else "is as good as it should be"
    remedy = "see `python -m monitor performance`, then `python -m monitor retrain --reason manual`"
    return Check(
        DEGRADED,
        "critical" if is_worse else "ok",
        value,
        0,
        f"the model {words}, {_at(measured)}",
        remedy if is_worse else "",
        measured.tags,
    )


def _coverage(measured: Measurement, value: float, thresholds: AlertParams) -> Check:
    least = thresholds.min_coverage
    has_few = value < least
    return Check(
        LABEL_COVERAGE,
        "warning" if has_few else "ok",
        value,
        least,
        f"{value:.0%} of the forecasts that are due have a label, {_at(measured)}",
        "bring the new bars in, then `python -m monitor labels`" if has_few else "",
        measured.tags,
    )


def check_scheduler(measured: Sequence[Measurement], minutes: int, now: datetime) -> Check:
    """Whether each job of the scheduler did what it should when it last ran.

    Args:
        measured: the newest values.
        minutes: between two runs of the job `check`.
        now: in UTC.
    """
    jobs = [each for each in measured if each.name == SCHEDULER_RUN]
    if not jobs:
        return nothing_yet(SCHEDULER, "has not run in the last 7 days: `python -m monitor run`")
    failed = [each for each in jobs if not each.value]
    limit = timedelta(minutes=OVERDUE * minutes)
    overdue = [each for each in jobs if _job(each) == "check" and now - each.at > limit]
    problems = [
        *(f"{_job(each)} failed at {each.at:%Y-%m-%d %H:%M} UTC" for each in failed),
        *(f"{_job(each)} has not run since {each.at:%Y-%m-%d %H:%M} UTC" for each in overdue),
    ]
    count = float(len(problems))
    if problems:
        remedy = "see its log; start it again by `python -m monitor run`"
        return Check(SCHEDULER, "warning", count, 0, "; ".join(problems), remedy)
    last = max(each.at for each in jobs)
    return Check(
        SCHEDULER, "ok", count, 0, f"{len(jobs)} jobs went well, {last:%Y-%m-%d %H:%M} UTC"
    )


def _job(measured: Measurement) -> str:
    return measured.tags.get("job", "a job")
