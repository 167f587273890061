"""Rows of the monitor's tables, and the audit trail from which they are rebuilt."""

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
import sqlalchemy as sa

from monitor.settings import MonitorError, Settings
from monitor.store import audit_trail, metric_history, records
from predictions.schema import (
    Row,
    model_metadata,
    monitoring_alerts,
    monitoring_metrics,
    retraining_decisions,
)
from tests.monitor import live
from tests.monitor.conftest import Monitor
from tests.projects import ROOT

NOW = datetime(2020, 4, 1, 22, tzinfo=UTC)
DAY = timedelta(days=1)


def alert(number: int, at: datetime = NOW) -> Row:
    return {
        "id": f"alert-{number}",
        "rule": "drift",
        "tags": "{}",
        "severity": "WARNING",
        "message": "five features differ",
        "started_at": at,
        "seen_at": at,
    }


def decision(number: int) -> Row:
    return {
        "id": f"decision-{number}",
        "created_at": NOW,
        "reason": "manual",
        "outcome": "rejected",
        "document": '{"gain": 0.1}',
    }


def placed(written: records.Records) -> None:
    model = {"commit": "a" * 40, "model_md5": live.CHALLENGER_MD5, "version": "v1.1.0"}
    written.placed("shadow", "short", model)


def rows(engine: sa.Engine) -> dict[str, list[dict[str, Any]]]:
    """Every row of the monitor's tables, by key."""
    with engine.connect() as connection:
        return {
            name: [
                dict(row)
                for row in connection.execute(
                    sa.select(table).order_by(*table.primary_key.columns)
                ).mappings()
            ]
            for name, table in records.TABLES.items()
        }


def test_the_trail_rebuilds_the_tables_exactly(
    engine_of_both: sa.Engine, settings_of_both: Settings
) -> None:
    chance = np.random.default_rng(0)
    open_alerts: list[str] = []
    for number in range(30):
        now = NOW + number * timedelta(hours=5)
        with records.writing(engine_of_both, settings_of_both, now) as written:
            written.metric("drift_p", chance.random(), {"horizon": "short", "feature": "vol_14"})
            if number % 3 == 0:
                written.add(monitoring_alerts, alert(number, now))
                open_alerts.append(f"alert-{number}")
            if number % 5 == 0:
                written.add(retraining_decisions, decision(number))
                placed(written)
            written.change(monitoring_alerts, chance.choice(open_alerts), {"seen_at": now})
            if number % 7 == 0:
                ended = open_alerts.pop() if len(open_alerts) > 1 else open_alerts[0]
                written.change(monitoring_alerts, ended, {"ended_at": now})
    wanted = rows(engine_of_both)
    assert all(wanted.values())
    assert len(list((settings_of_both.var / "audit").glob("*.parquet"))) == 7
    with engine_of_both.begin() as connection:
        for table in records.TABLES.values():
            connection.execute(sa.delete(table))
    counts = records.restore(engine_of_both, settings_of_both.var / "audit")
    assert counts == {name: len(table_rows) for name, table_rows in wanted.items()}
    assert rows(engine_of_both) == wanted
    assert set(records.restore(engine_of_both, settings_of_both.var / "audit").values()) == {0}


def test_all_rows_of_a_transaction_are_written_or_none(
    engine: sa.Engine, settings: Settings
) -> None:
    with pytest.raises(ZeroDivisionError), records.writing(engine, settings) as written:
        written.metric("drift_share", 1 / 3, {})
        written.metric("drift_share", 1 / 0, {})
    assert live.count_of(engine, monitoring_metrics) == 0
    assert audit_trail.replay(settings.var / "audit") == {}


def test_what_a_killed_process_noted_is_restored(engine: sa.Engine, settings: Settings) -> None:
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from monitor.settings import Settings\n"
        "from monitor.store import records\n"
        "settings = Settings(var=Path(sys.argv[1]))\n"
        "with records.opened(settings) as engine, records.writing(engine, settings) as written:\n"
        "    written.metric('drift_share', 0.25, {'horizon': 'short'})\n"
        "    written.flush()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, str(settings.var)], cwd=ROOT, timeout=60, check=False
    )
    assert ended.returncode == -signal.SIGKILL
    assert live.count_of(engine, monitoring_metrics) == 0
    assert records.restore(engine, settings.var / "audit") == {"monitoring_metrics": 1}
    ((_, name, value, tags),) = measured(engine)
    assert (name, value, tags) == ("drift_share", 0.25, {"horizon": "short"})


def measured(engine: sa.Engine) -> list[metric_history.Measurement]:
    with engine.connect() as connection:
        return metric_history.since(connection, datetime(2000, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_a_number_that_is_none_is_kept_as_null(
    engine_of_both: sa.Engine, settings_of_both: Settings, value: float | None
) -> None:
    with records.writing(engine_of_both, settings_of_both) as written:
        written.metric("drift_p", value, {})
    ((at, _, stored, _),) = measured(engine_of_both)
    assert stored is None
    assert at == settings_of_both.clock


def test_two_write_at_once(engine_of_both: sa.Engine, settings_of_both: Settings) -> None:
    def write(number: int) -> None:
        with records.writing(engine_of_both, settings_of_both) as written:
            for _ in range(5):
                written.metric("drift_share", number, {})

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, range(12)))
    noted = audit_trail.replay(settings_of_both.var / "audit")["monitoring_metrics"]
    assert len(noted) == len(measured(engine_of_both)) == 60


def test_by_a_clock_that_goes_back_the_last_change_counts(
    engine: sa.Engine, settings: Settings
) -> None:
    for now, message in ((NOW, "first"), (NOW - 3 * DAY, "second"), (NOW - DAY, "third")):
        with records.writing(engine, settings, now) as written:
            if message == "first":
                written.add(monitoring_alerts, alert(1))
            written.change(monitoring_alerts, "alert-1", {"message": message})
    wanted = rows(engine)
    with engine.begin() as connection:
        connection.execute(sa.delete(monitoring_alerts))
    records.restore(engine, settings.var / "audit")
    assert rows(engine) == wanted


def test_a_row_that_is_not_there_cannot_be_changed(engine: sa.Engine, settings: Settings) -> None:
    with (
        pytest.raises(MonitorError, match="monitoring_alerts has no row alert-9"),
        records.writing(engine, settings) as written,
    ):
        written.change(monitoring_alerts, "alert-9", {"message": "none"})


@pytest.mark.parametrize("content", [b"PAR1 but no more", b""])
def test_a_damaged_trail_is_named(
    engine: sa.Engine, settings: Settings, monitor: Monitor, content: bytes
) -> None:
    with records.writing(engine, settings) as written:
        written.metric("drift_share", 0.1, {})
    path = settings.var / "audit" / "2020-04-01.parquet"
    path.write_bytes(content)
    status, out, error = monitor("restore")
    assert (status, out) == (1, "")
    assert error.startswith(f"error: the audit trail is damaged: {path}")
    assert "move it away" in error
    assert error.count("\n") == 1
    with pytest.raises(MonitorError, match="damaged"), records.writing(engine, settings) as written:
        written.metric("drift_share", 0.2, {})
    assert [value for _, _, value, _ in measured(engine)] == [0.1]
    assert path.read_bytes() == content


def test_a_file_of_other_columns_is_no_trail(engine: sa.Engine, settings: Settings) -> None:
    folder = settings.var / "audit"
    folder.mkdir(parents=True)
    pl.DataFrame({"a": [1]}).write_parquet(folder / "2020-04-01.parquet")
    with pytest.raises(MonitorError, match="no column at, table, key, row"):
        records.restore(engine, folder)


@pytest.mark.parametrize(
    ("table", "row"),
    [("monitoring_moods", {"id": "1"}), ("monitoring_metrics", {"id": "1", "mood": "good"})],
)
def test_what_a_newer_revision_wrote_is_refused(
    engine: sa.Engine, settings: Settings, table: str, row: Row
) -> None:
    folder = settings.var / "audit"
    audit_trail.append(folder, [audit_trail.Entry(table, "1", row)], NOW)
    with pytest.raises(MonitorError, match=f"rows of {table} that this revision does not know"):
        records.restore(engine, folder)


def test_restore_says_what_it_did(engine: sa.Engine, settings: Settings, monitor: Monitor) -> None:
    assert monitor("restore")[1] == f"{settings.var / 'audit'} has no audit trail\n"
    with records.writing(engine, settings) as written:
        placed(written)
        written.metric("drift_share", 0.1, {})
    with engine.begin() as connection:
        connection.execute(sa.delete(model_metadata))
    assert monitor("restore")[1] == (
        "model_metadata: 1 rows restored\nmonitoring_metrics: 0 rows restored\n"
    )


def test_a_lost_database_is_made_again(
    engine: sa.Engine, settings: Settings, monitor: Monitor
) -> None:
    with records.writing(engine, settings) as written:
        written.metric("drift_share", 0.1, {})
    wanted = rows(engine)
    engine.dispose()
    for path in settings.var.glob("predictions.db*"):
        path.unlink()
    assert monitor("restore")[:2] == (0, "monitoring_metrics: 1 rows restored\n")
    assert rows(engine) == wanted
