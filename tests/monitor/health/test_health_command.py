"""`python -m monitor health` as a whole: the report, its history, and a log that is away."""

import json
import signal
import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from monitor.checking_round import reached
from monitor.health import health_check, measured
from monitor.settings import Settings, thresholds
from monitor.store import metric_history, records
from tests.monitor import worlds
from tests.monitor.conftest import Command
from tests.monitor.receivers import closed_port
from tests.predictions.postgres import Postgres

NOW = datetime(2013, 1, 2, 12, tzinfo=UTC)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(worlds.build(tmp_path))
    monkeypatch.setenv("MONITOR_NOW", NOW.isoformat())
    # A connection that a test leaves open knows its file by this name.
    monkeypatch.setenv("SERVE_VAR", str(tmp_path / "var"))
    return tmp_path


def test_the_status_is_the_exit_status(
    world: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, printed = command("health")
    assert code == 0
    for name in ("prediction_log", "models", "features_age", "data_quality", "disk", "memory"):
        assert name in printed
    monkeypatch.setenv("MONITOR_NOW", "2013-01-09")
    code, printed = command("health")
    assert code == 1
    assert "2012-12-31" in printed
    assert "-> bring the new bars in" in printed
    (world / "models/long/model.onnx").unlink()
    code, printed = command("health", "--json")
    assert code == 2
    document = json.loads(printed)
    assert document == json.loads((world / "var/monitor/health.json").read_text())
    assert document["status"] == "critical"
    by_name = {each["name"]: each for each in document["checks"]}
    assert by_name["models"]["status"] == "critical"
    assert by_name["models"]["threshold"] == 0
    assert "models/long/model.onnx" in by_name["models"]["sentence"]
    assert by_name["features_age"]["value"] == 5


def test_history_is_kept_as_metrics(world: Path, command: Command) -> None:
    command("health")
    (world / "models/long/model.onnx").unlink()
    command("health")
    settings = Settings(now=NOW)
    with records.opened(settings, read_only=True) as engine, engine.connect() as connection:
        rows = metric_history.since(connection, NOW, ["health"])
    assert [value for _, _, value, tags in rows if tags == {"check": "models"}] == [0, 2]
    of_age = [value for _, _, value, tags in rows if tags.get("check") == "model_age"]
    assert of_age == [0, 0, 0, 0]


@pytest.mark.parametrize("kind", ["postgresql", "garbage", "folder", "url"])
def test_with_the_log_away_everything_else_is_checked(
    world: Path, command: Command, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    file = world / "var" / "predictions.db"
    if kind == "postgresql":
        url = f"postgresql://me:sesame@127.0.0.1:{closed_port()}/log"
        monkeypatch.setenv("DATABASE_URL", url)
    elif kind == "url":
        monkeypatch.setenv("DATABASE_URL", "mysql://me:sesame@db/log")
    elif kind == "garbage":
        file.parent.mkdir()
        file.write_bytes(b"not a database" * 1000)
    else:
        file.mkdir(parents=True)
    code, printed = command("health", "--json")
    assert code == 2
    assert "sesame" not in printed
    checks = {each["name"]: each for each in json.loads(printed)["checks"]}
    log = checks["prediction_log"]
    assert (log["status"], log["value"]) == ("critical", None)
    assert "DATABASE_URL" in log["remedy"]
    assert "\n" not in log["sentence"]
    for name in ("models", "features_age", "model_age", "data_quality", "disk", "memory"):
        assert checks[name]["status"] == "ok"


def test_a_log_that_is_locked_costs_a_bounded_time(world: Path) -> None:
    settings = Settings(now=NOW, timeout=0.2)
    with reached(settings) as engine:
        assert not isinstance(engine, str)
    lock = sqlite3.connect(world / "var" / "predictions.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    with reached(settings) as engine:
        health = health_check.check(engine, settings, thresholds(), NOW)
    assert time.monotonic() - began < 5
    lock.close()
    assert health.checks[0].status == "critical"
    assert "locked" in health.checks[0].sentence


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    yield server
    server.remove()


def test_a_database_that_hangs_costs_a_bounded_time(
    world: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    from predictions import migrate
    from predictions.engine import connect

    monkeypatch.chdir(world)
    url = postgres.new_database()
    engine = connect(url)
    migrate.upgrade(engine)
    engine.dispose()
    settings = Settings(now=NOW, timeout=0.5, database_url=url)
    with reached(settings) as log:
        assert health_check.check(log, settings, thresholds(), NOW).worst == "ok"
        postgres.send(signal.SIGSTOP)
        began = time.monotonic()
        health = health_check.check(log, settings, thresholds(), NOW)
        assert time.monotonic() - began < 8
    assert health.worst == "critical"
    with reached(settings) as log:
        assert isinstance(log, str)
    # What still waits for an answer gives up before there is one.
    time.sleep(1)
    postgres.send(signal.SIGCONT)
    with reached(settings) as log:
        assert health_check.check(log, settings, thresholds(), NOW).worst == "ok"


def test_the_newest_measurement_counts_also_where_the_clock_went_back(world: Path) -> None:
    settings = Settings(now=NOW)
    model = worlds.md5(world, "short")[:8]

    def measure(at: datetime, name: str, value: float | None, **tags: str) -> None:
        with records.writing(engine, settings, at) as writer:
            writer.metric(name, value, tags)

    with records.opened(settings) as engine:
        measure(NOW - timedelta(days=8), "label_coverage", 0.1, horizon="long")
        measure(NOW - timedelta(hours=1), "drift_share", 0.5, horizon="short")
        measure(NOW - timedelta(hours=2), "drift_share", 0.1, horizon="short")
        measure(NOW + timedelta(hours=9), "drift_share", 0.9, horizon="short")
        measure(NOW, "degraded", 1, horizon="short", model=model)
        measure(NOW, "degraded", 1, horizon="long", model="00000000")
        measure(NOW, "other", 1)
        with engine.connect() as connection:
            newest = measured.newest(connection, NOW)
        assert [(each.name, each.value) for each in newest] == [
            ("degraded", 1),
            ("degraded", 1),
            ("drift_share", 0.1),
        ]
        health = health_check.check(engine, settings, thresholds(), NOW)
    status = {(each.name, each.about): each.status for each in health.checks}
    assert status["degraded", f"horizon=short model={model}"] == "critical"
    assert status["degraded", "horizon=long"] == "ok"
    assert status["drift_share", "horizon=short"] == "ok"
    assert status["label_coverage", "horizon=long"] == "ok"


def test_a_report_that_cannot_be_written_stops_nothing(
    world: Path, command: Command, caplog: pytest.LogCaptureFixture
) -> None:
    (world / "var" / "monitor" / "health.json" / "in the way").mkdir(parents=True)
    code, printed = command("health")
    assert code == 0
    assert "prediction_log" in printed
    assert "health.json" in caplog.text + printed


def test_wrong_params_are_one_line(world: Path, command: Command) -> None:
    params = world / "params.yaml"
    params.write_text(params.read_text().replace("min_quality: 50.0", "min_quality: 500"))
    code, printed = command("health")
    assert (code, printed.count("\n")) == (1, 1)
    assert "monitor.alerts.min_quality" in printed
