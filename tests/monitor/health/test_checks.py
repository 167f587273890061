"""Each check of health, on values just within and just beyond its threshold."""

import json
import os
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.health import ages, data_quality, log_state, machine, measured, model_files
from monitor.health.ages import Bars
from monitor.health.log_state import LogState
from monitor.settings import thresholds
from monitor.store.metric_history import Measurement
from predictions.schema import VERSION
from stages.common.errors import VersionError
from tests.monitor import worlds
from tests.projects import ROOT
from versions.repository import lock as locks

NOW = datetime(2013, 1, 2, 12, tzinfo=UTC)


@pytest.fixture
def alerts(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(ROOT)
    return thresholds().alerts


@pytest.mark.parametrize(
    ("state", "status", "phrase"),
    [
        (LogState("connection refused", "postgresql://db/log"), "critical", "postgresql://db/log"),
        (LogState(None, "x", 0.01, VERSION, NOW - timedelta(hours=2)), "ok", "2.0 h ago"),
        (LogState(None, "x", 0.01, VERSION, NOW + timedelta(hours=2)), "ok", "0.0 h ago"),
        (LogState(None, "x", 0.01, "0009"), "ok", "0009"),
        (LogState(None, "x", 6.0, VERSION), "warning", "6000 ms"),
    ],
)
def test_the_log_is_well_if_it_takes_a_row_in_time(
    state: LogState, status: str, phrase: str
) -> None:
    check = log_state.check(state, 5.0, NOW)
    assert check.status == status
    assert phrase in check.sentence
    assert bool(check.remedy) == (status != "ok")


def test_files_of_models_are_compared_with_the_lock(tmp_path: Path) -> None:
    folder = worlds.build(tmp_path)

    def check() -> Any:
        return model_files.check(model_files.look(folder, model_files.read_lock(folder)))

    assert (check().status, check().value) == ("ok", 0)
    assert "6 files" in check().sentence
    (folder / "models/short/model.onnx").write_bytes(b"another")
    (folder / "models/long/card.json").unlink()
    verdict = check()
    assert (verdict.status, verdict.value) == ("critical", 2)
    assert "missing: models/long/card.json" in verdict.sentence
    assert "models/short/model.onnx" in verdict.sentence
    assert "dvc pull" in verdict.remedy


def test_while_dvc_writes_a_missing_model_is_no_alert(tmp_path: Path) -> None:
    folder = worlds.build(tmp_path)
    (folder / "models/short/model.onnx").unlink()
    lock = locks.read(folder / "dvc.lock")
    writers = folder / ".dvc" / "tmp" / "rwlock"
    writers.parent.mkdir(parents=True)
    path = str(folder / "models/short/model.onnx")
    for number, judged in ((os.getpid(), False), (2**22 + 1, True)):
        process = {"pid": number, "cmd": "dvc repro"}
        writers.write_text(json.dumps({"write": {path: process}, "read": {}}))
        check = model_files.check(model_files.look(folder, lock))
        assert check.judged == judged
        assert check.status == ("critical" if judged else "warning")
        assert ("dvc repro is at work" in check.sentence) == (not judged)
    writers.write_text("{ torn")
    assert model_files.check(model_files.look(folder, lock)).status == "critical"


def test_a_lock_that_cannot_be_read_is_critical(tmp_path: Path) -> None:
    (tmp_path / "dvc.lock").write_text("<<<<<<< HEAD\nschema: '2.0'\n")
    lock = model_files.read_lock(tmp_path)
    assert isinstance(lock, VersionError)
    check = model_files.check(model_files.look(tmp_path, lock))
    assert check.status == "critical"
    assert "dvc.lock" in check.sentence
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\n")
    check = model_files.check(model_files.look(tmp_path, model_files.read_lock(tmp_path)))
    assert check.status == "critical"


def bars(**newest: date) -> Bars:
    return Bars(newest, worlds.sessions())


@pytest.mark.parametrize(
    ("newest", "today", "status", "behind"),
    [
        # A session counts from the next day on.
        ({"A": date(2012, 12, 31)}, date(2013, 1, 2), "ok", 0),
        ({"A": date(2012, 12, 31)}, date(2013, 1, 3), "ok", 1),
        ({"A": date(2012, 12, 31)}, date(2013, 1, 4), "ok", 2),
        # A week-end adds nothing to the Friday.
        ({"A": date(2012, 12, 31)}, date(2013, 1, 5), "warning", 3),
        ({"A": date(2012, 12, 31)}, date(2013, 1, 7), "warning", 3),
        # One symbol whose feed is broken, and one that has ended.
        ({"A": date(2012, 12, 31), "B": date(2012, 12, 26)}, date(2013, 1, 2), "warning", 3),
        ({"A": date(2012, 12, 31), "B": date(2012, 10, 1)}, date(2013, 1, 2), "ok", 0),
    ],
)
def test_features_age_in_sessions(
    newest: dict[str, date], today: date, status: str, behind: int
) -> None:
    check = ages.check_features(bars(**newest), today, 2)
    assert (check.status, check.value, check.threshold) == (status, behind, 2)
    if "B" in newest and status == "warning":
        assert "(B)" in check.sentence


def test_beyond_the_known_sessions_the_age_is_a_least(alerts: Any) -> None:
    check = ages.check_features(bars(A=worlds.AS_OF), date(2026, 1, 1), alerts.stale_features)
    assert check.status == "warning"
    assert check.value is not None
    assert 250 < check.value < 270
    assert "or more" in check.sentence


def test_a_clock_before_the_newest_bar_is_named() -> None:
    check = ages.check_features(bars(A=worlds.AS_OF), date(2012, 12, 30), 2)
    assert (check.status, check.judged) == ("warning", False)
    assert "2012-12-31" in check.sentence
    assert "2012-12-30" in check.sentence
    assert "clock" in check.remedy


@pytest.mark.parametrize(
    ("last", "length", "status", "behind"),
    [
        (date(2012, 12, 28), 1, "ok", 0),
        (date(2012, 12, 27), 1, "ok", 1),
        (date(2012, 12, 26), 1, "ok", 2),
        (date(2012, 12, 25), 1, "warning", 3),
        (date(2012, 10, 3), 63, "ok", 0),
        (date(2009, 1, 2), 63, "warning", 458),
    ],
)
def test_a_model_ages_beyond_its_horizon(last: date, length: int, status: str, behind: int) -> None:
    card = {"sessions": length, "last": last}
    check = ages.check_model("short", card, bars(A=worlds.AS_OF), 2)
    assert (check.status, check.value, check.tags) == (status, behind, {"horizon": "short"})
    assert ("or more" in check.sentence) == (last.year == 2009)


def test_what_cannot_be_read_is_unknown_and_named(tmp_path: Path) -> None:
    card = ages.read_card(tmp_path, "short")
    for path, check in (
        ("models/latest.parquet", ages.check_features(ages.look(tmp_path), NOW.date(), 2)),
        ("models/short/card.json", ages.check_model("short", card, bars(A=worlds.AS_OF), 2)),
        ("metrics/validation.json", data_quality.check(data_quality.look(tmp_path), 50.0)),
    ):
        assert (check.status, check.value, check.judged) == ("warning", None, False)
        assert path in check.sentence
    folder = worlds.build(tmp_path / "world")
    assert isinstance(ages.look(folder), Bars)
    for damaged in ('{"sessions": [1', '{"sessions": []}'):
        (folder / "models/sessions.json").write_text(damaged)
        assert "models/sessions.json" in str(ages.look(folder))
    (folder / "metrics/validation_datasets/long.json").write_text('{"quality": NaN}')
    assert data_quality.check(data_quality.look(folder), 50.0).status == "critical"
    (folder / "metrics/validation_datasets/long.json").write_text("{}")
    assert "validation_datasets/long.json" in str(data_quality.look(folder))


@pytest.mark.parametrize(
    ("quality", "status"),
    [(100.0, "ok"), (50.0, "ok"), (49.9, "critical"), (0.0, "critical")],
)
def test_the_lowest_score_counts(quality: float, status: str) -> None:
    failed = [{"table": "clean/daily", "type": "expect_column_values_to_be_between"}]
    scores = {
        "raw": {"quality": 100.0, "failed": []},
        "clean": {"quality": quality, "failed": failed if quality < 100 else []},
    }
    check = data_quality.check(scores, 50.0)
    assert check.status == status
    if quality < 100:
        assert "clean/daily expect_column_values_to_be_between" in check.sentence


@pytest.mark.parametrize(
    ("free", "status"), [(5, "ok"), (4.9, "warning"), (1, "warning"), (0.9, "critical")]
)
def test_little_space_is_a_warning_and_hardly_any_critical(free: float, status: str) -> None:
    gib = 2**30
    check = machine.check("disk", round(free * gib), 100 * gib, 0.05, "free some")
    assert check.status == status


def test_the_disk_of_a_folder_to_come_and_the_memory_are_measured(tmp_path: Path) -> None:
    for free, total in (machine.disk(tmp_path / "var" / "monitor"), machine.memory()):
        assert 0 < free <= total


def of(name: str, value: float | None, at: datetime = NOW, **tags: str) -> Measurement:
    return Measurement(at, name, value, tags)


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("drift_share", 0.2, "ok"),
        ("drift_share", 0.21, "warning"),
        ("drift_features", 5, "ok"),
        ("drift_features", 6, "warning"),
        ("drift_alarm", 1, "ok"),
        ("degraded", 0, "ok"),
        ("degraded", 1, "critical"),
        ("label_coverage", 0.3, "ok"),
        ("label_coverage", 0.29, "warning"),
    ],
)
def test_what_was_measured_is_compared_with_params(
    alerts: Any, name: str, value: float, status: str
) -> None:
    checks = measured.check([of(name, value, horizon="short")], alerts, ["short", "long"])
    (check,) = [each for each in checks if each.value is not None]
    assert (check.name, check.status, check.value) == (name, status, value)
    assert check.tags == {"horizon": "short"}
    assert bool(check.remedy) == (status != "ok" or name == "drift_alarm")
    assert check.info == (name == "drift_alarm")
    # What was not measured of a horizon is said, and not judged.
    (other,) = [each for each in checks if each.name == name and each.tags["horizon"] == "long"]
    assert (other.status, other.judged) == ("ok", False)


def test_a_number_that_is_not_defined_is_as_none(alerts: Any) -> None:
    checks = measured.check([of("drift_share", None, horizon="short")], alerts, ["short"])
    assert {each.value for each in checks} == {None}
    assert not any(each.judged for each in checks)


def test_only_models_that_are_checked_out_are_judged() -> None:
    every = [
        of("degraded", 1, horizon="short", model="aaaaaaaa"),
        of("degraded", 0, horizon="short", model="bbbbbbbb"),
        of("degraded", 1, horizon="gone", model="cccccccc"),
        of("scheduler_run", 1, job="check"),
    ]
    current = measured.of_models(every, {"short": "b" * 32, "long": "a" * 32})
    assert current == [every[1], every[3]]


@pytest.mark.parametrize(
    ("runs", "status", "phrase"),
    [
        ([], "ok", "has not run"),
        ([("check", 1, 14), ("refresh", 1, 600)], "ok", "2 jobs"),
        ([("check", 1, 16)], "warning", "check has not run since"),
        ([("check", 1, 1), ("refresh", 0, 600)], "warning", "refresh failed"),
    ],
)
def test_the_scheduler_failed_or_is_overdue(
    runs: Sequence[tuple[str, int, int]], status: str, phrase: str
) -> None:
    done = [
        of("scheduler_run", value, NOW - timedelta(minutes=ago), job=job)
        for job, value, ago in runs
    ]
    check = measured.check_scheduler(done, 5, NOW)
    assert check.status == status
    assert phrase in check.sentence
