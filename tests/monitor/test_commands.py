"""`python -m monitor metrics` and `models`."""

import json
from datetime import timedelta

import pytest
import sqlalchemy as sa

from monitor.settings import Settings
from monitor.store import records
from tests.monitor import live
from tests.monitor.conftest import Monitor


def measure(engine: sa.Engine, settings: Settings, days: float, **values: float | None) -> None:
    """Keep metrics of so many days ago."""
    with records.writing(engine, settings, settings.clock - timedelta(days=days)) as written:
        for name, value in values.items():
            written.metric(name, value, {"horizon": "short"})


def test_metrics_show_their_history(
    engine: sa.Engine, settings: Settings, monitor: Monitor
) -> None:
    for days, value in ((8, 9.0), (6, 0.25), (3, 0.75), (2, None), (1, 0.5)):
        measure(engine, settings, days, drift_share=value, health=1.0)
    status, out, error = monitor("metrics")
    assert (status, error) == (0, "")
    _, _, drift, health = out.splitlines()
    assert drift.split() == [
        *("drift_share", "horizon=short", "4", "0.25", "0.5", "0.25", "0.75"),
        *("2020-03-31", "22:00"),
    ]
    assert health.split()[:3] == ["health", "horizon=short", "4"]
    assert " 9 " in monitor("metrics", "--days", "30", "--name", "drift_share")[1]
    assert "health" not in monitor("metrics", "--name", "drift_share")[1]


def test_metrics_are_json_a_line(engine: sa.Engine, settings: Settings, monitor: Monitor) -> None:
    measure(engine, settings, 1, drift_share=0.5)
    measure(engine, settings, 0.5, drift_share=None)
    first, second = map(json.loads, monitor("metrics", "--json")[1].splitlines())
    assert first == {
        "at": "2020-03-31T22:00:00+00:00",
        "name": "drift_share",
        "value": 0.5,
        "tags": {"horizon": "short"},
    }
    assert second["value"] is None


@pytest.mark.parametrize("days", ["0", "-1", "nan", "inf", "1e9", "week"])
def test_a_number_of_days_that_is_none_is_said(monitor: Monitor, days: str) -> None:
    status, _, error = monitor("metrics", f"--days={days}")
    assert status == 2
    assert "--days: " in error
    assert days in error


@pytest.mark.parametrize(
    "command",
    [
        ("refresh", "--day=yesterday"),
        ("retrain", "--as-of=yesterday"),
        ("simulate", "--from=yesterday", "--to=2012-12-31"),
    ],
)
def test_a_day_that_is_none_is_said_with_an_example(
    monitor: Monitor, command: tuple[str, ...]
) -> None:
    status, _, error = monitor(*command)
    assert status == 2
    assert f"{command[1].partition('=')[0]}: 'yesterday'" in error
    assert "2012-12-31" in error


@pytest.mark.parametrize("command", ["metrics", "models"])
def test_a_log_that_is_not_there_is_not_made(
    settings: Settings, monitor: Monitor, command: str
) -> None:
    status, out, error = monitor(command)
    assert (status, out) == (1, "")
    assert error.startswith(f"error: there is no prediction log at {settings.var}")
    assert not settings.var.exists()


@pytest.mark.parametrize("command", ["metrics", "models"])
def test_tables_of_a_former_revision_are_said(
    engine: sa.Engine, monitor: Monitor, command: str
) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE monitoring_metrics"))
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0002'"))
    status, _, error = monitor(command)
    assert status == 1
    assert "has tables of version 0002" in error
    assert "make migrate" in error


def test_nothing_measured_or_placed_is_said(engine: sa.Engine, monitor: Monitor) -> None:
    del engine
    assert monitor("metrics")[1] == "nothing was measured since 2020-03-25 22:00 UTC\n"
    assert monitor("models")[1] == "no model was put anywhere yet\n"
    assert monitor("models", "--horizon", "long")[1] == "no model of long was put anywhere yet\n"


def test_models_are_listed_by_time(engine: sa.Engine, settings: Settings, monitor: Monitor) -> None:
    for days, place, decision in ((3, "shadow", None), (1, "production", "20200331-promoted")):
        now = settings.clock - timedelta(days=days)
        with records.writing(engine, settings, now) as written:
            model = {"commit": "a" * 40, "model_md5": live.CHALLENGER_MD5, "version": "v1.1.0"}
            written.placed(place, "short", {**model, "decision_id": decision})
            written.placed(place, "long", model)
    _, _, *rows = monitor("models", "--horizon", "short")[1].splitlines()
    cells = ["v1.1.0", "d" * 8, "a" * 8]
    assert [row.split() for row in rows] == [
        ["2020-03-29", "22:00", "short", "shadow", *cells, "-"],
        ["2020-03-31", "22:00", "short", "production", *cells, "20200331-promoted"],
    ]
    assert len(monitor("models")[1].splitlines()) == 6
