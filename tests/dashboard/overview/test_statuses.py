"""Six states with reason and remedy, from the server's answer and the monitor's report."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dashboard.overview.statuses import NEVER, Status, statuses
from dashboard.overview.stored_health import StoredHealth

NOW = datetime(2012, 3, 10, 12, tzinfo=UTC)
MOST = timedelta(minutes=15)
NAMES = ["server", "log", "models", "data", "drift", "scheduler"]


def answer(bundle: str = "ok", log: str = "ok", **challengers: str) -> dict[str, Any]:
    return {
        "checks": {
            "bundle": {"status": bundle, "detail": "serves abc"},
            "prediction_log": {"status": log, "detail": "0 rows wait"},
        },
        "challengers": {name: {"detail": detail} for name, detail in challengers.items()},
    }


def check(name: str, status: str = "ok", value: float | None = 0.0, **tags: str) -> dict[str, Any]:
    sentence = f"{name} is {status}"
    remedy = "" if status == "ok" else f"mend {name}"
    return {
        "name": name,
        "status": status,
        "value": value,
        "threshold": 1.0,
        "sentence": sentence,
        "remedy": remedy,
        "tags": tags,
    }


def report(*checks: dict[str, Any], age: timedelta = timedelta()) -> StoredHealth:
    return StoredHealth(NOW - age, checks)


WELL = report(*(check(name) for name in ("models", "features_age", "drift_share", "scheduler")))


def by_name(parts: list[Status]) -> dict[str, Status]:
    assert [part.name for part in parts] == NAMES
    return {part.name: part for part in parts}


def test_all_is_well() -> None:
    parts = statuses(answer(), WELL, NOW, MOST)
    assert {part.state for part in parts} == {"ok"}
    assert by_name(parts)["server"].reason == "serves abc"


def test_a_monitor_that_never_looked_is_not_well() -> None:
    parts = by_name(statuses(answer(), None, NOW, MOST))
    for name in NAMES[2:]:
        assert (parts[name].state, parts[name].reason) == ("unknown", NEVER)
        assert "make up" in parts[name].remedy


def test_the_worst_check_of_a_part_counts_and_names_its_horizon() -> None:
    health = report(
        check("models"), check("model_age", "warning", horizon="long"), check("features_age")
    )
    models = by_name(statuses(answer(), health, NOW, MOST))["models"]
    assert models == Status("models", "warning", "long: model_age is warning", "mend model_age")


def test_what_could_not_be_judged_is_unknown_not_ok() -> None:
    health = report(check("scheduler", value=None))
    assert by_name(statuses(answer(), health, NOW, MOST))["scheduler"].state == "unknown"


@pytest.mark.parametrize(
    ("state", "expected"), [("ok", "warning"), ("warning", "warning"), ("critical", "critical")]
)
def test_an_old_report_never_says_that_all_is_well(state: str, expected: str) -> None:
    health = report(check("features_age", state), age=MOST + timedelta(seconds=1))
    data = by_name(statuses(answer(), health, NOW, MOST))["data"]
    assert data.state == expected
    assert "2012-03-10 11:44 UTC" in data.reason
    assert (
        by_name(statuses(answer(), report(check("features_age"), age=MOST), NOW, MOST))[
            "data"
        ].state
        == "ok"
    )


def test_a_server_that_is_away_leaves_what_the_monitor_knows() -> None:
    health = report(check("prediction_log", "critical"), check("models"))
    parts = by_name(statuses("no answer; start it with `make serve`", health, NOW, MOST))
    assert parts["server"].state == "critical"
    assert "make serve" in parts["server"].reason
    assert (parts["log"].state, parts["log"].remedy) == ("critical", "mend prediction_log")
    assert parts["models"].state == "ok"


@pytest.mark.parametrize(("status", "state"), [("degraded", "warning"), ("down", "critical")])
def test_a_broken_bundle_or_log_has_a_remedy(status: str, state: str) -> None:
    parts = by_name(statuses(answer(bundle=status, log=status), WELL, NOW, MOST))
    for name in ("server", "log"):
        assert parts[name].state == state
        assert parts[name].remedy


def test_a_challenger_that_fails_shows_on_a_server_that_is_well() -> None:
    server = by_name(statuses(answer(short="its file is missing"), WELL, NOW, MOST))["server"]
    assert server.state == "warning"
    assert "challenger of short: its file is missing" in server.reason
