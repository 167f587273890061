"""Six states in the colours of a traffic light, each with its reason and its remedy.

The server is asked now; the rest is what the monitor found when it last looked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from dashboard.overview.stored_health import StoredHealth

ORDER: Final = ("ok", "unknown", "warning", "critical")
"""States, the worst last."""

CHECKS: Final = {
    "models": ("models", "model_age", "degraded"),
    "data": ("features_age", "data_quality", "label_coverage"),
    "drift": ("drift_share", "drift_features", "drift_alarm"),
    "scheduler": ("scheduler", "measuring"),
}
"""The checks of the monitor that each state is made of."""

SERVER_STATES: Final = {"ok": "ok", "degraded": "warning", "down": "critical"}

NEVER = "the monitor has not looked yet"
START = "start it with `make up`, or look once with `python -m monitor check`"


@dataclass(frozen=True)
class Status:
    """How one part is.

    Attributes:
        name: of the part.
        state: of `ORDER`.
        reason: one sentence.
        remedy: what to do; empty if there is nothing to do.
    """

    name: str
    state: str
    reason: str
    remedy: str = ""


def statuses(
    server: Mapping[str, Any] | str, monitor: StoredHealth | None, now: datetime, most: timedelta
) -> list[Status]:
    """The states of server, log, models, data, drift and scheduler.

    Args:
        server: its answer to /health, or why there is none.
        monitor: the stored report; None if there is none.
        now: in UTC.
        most: the greatest age of a report that still counts.
    """
    parts = [_server(server), _log(server, monitor)]
    for name, checks in CHECKS.items():
        parts.append(_of_monitor(name, monitor.of(*checks) if monitor else []))
    if monitor is not None and now - monitor.at > most:
        parts = [*parts[:2], *(_old(part, monitor.at) for part in parts[2:])]
    return parts


def _server(answer: Mapping[str, Any] | str) -> Status:
    if isinstance(answer, str):
        return Status("server", "critical", answer)
    bundle = answer["checks"]["bundle"]
    others = [
        f"challenger of {horizon}: {each['detail']}"
        for horizon, each in answer["challengers"].items()
        if each["detail"]
    ]
    state = SERVER_STATES[bundle["status"]]
    if state == "ok" and others:
        return Status("server", "warning", "; ".join(others), "see Monitoring")
    remedy = "" if state == "ok" else "bring the files of the commit: `dvc checkout`, `make pull`"
    return Status("server", state, bundle["detail"], remedy)


def _log(answer: Mapping[str, Any] | str, monitor: StoredHealth | None) -> Status:
    if isinstance(answer, str):
        return _of_monitor("log", monitor.of("prediction_log") if monitor else [])
    check = answer["checks"]["prediction_log"]
    state = SERVER_STATES[check["status"]]
    remedy = "" if state == "ok" else "see the database of DATABASE_URL, and the disk of SERVE_VAR"
    return Status("log", state, check["detail"], remedy)


def _of_monitor(name: str, checks: Sequence[Mapping[str, Any]]) -> Status:
    if not checks:
        return Status(name, "unknown", NEVER, START)
    check = max(checks, key=lambda each: ORDER.index(_state(each)))
    about = " ".join(str(value) for value in check["tags"].values())
    sentence = f"{about}: {check['sentence']}" if about else check["sentence"]
    # A check that is well may propose something all the same.
    return Status(name, _state(check), sentence, check["remedy"])


def _state(check: Mapping[str, Any]) -> str:
    unjudged = check["status"] == "ok" and check["value"] is None
    return "unknown" if unjudged else str(check["status"])


def _old(part: Status, at: datetime) -> Status:
    if part.state == "unknown":
        return part
    state = max(part.state, "warning", key=ORDER.index)
    reason = f"{part.reason} (the monitor last looked on {at:%Y-%m-%d %H:%M} UTC)"
    return Status(part.name, state, reason, START)
