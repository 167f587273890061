"""Checks of a log against references that were pinned from a real DVC cache."""

import json
import os
import shutil
import signal
import stat
import sys
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa
from scipy.stats import ks_2samp

from monitor import gauges
from monitor.drift import drift_check, drift_reference, report_process
from monitor.drift.drift_check import Drift
from monitor.settings import MonitorError, Settings
from monitor.store import records
from predictions.schema import monitoring_metrics
from tests.monitor.drift import drift_world as world

DAYS = 700
TODAY = world.START + timedelta(DAYS)
WINDOW = 30


class World:
    """The project, the rows of all its bars, and the md5 of its model."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows = world.features(DAYS)
        self.trained = self.rows.filter(pl.col("date") < TODAY - timedelta(WINDOW))
        self.live = self.rows.filter(pl.col("date") >= TODAY - timedelta(WINDOW))
        world.repository(folder)
        self.model = world.write(folder, self.trained)
        self.commit = world.commit(folder)
        self.pinned = folder / "var" / "references"
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            drift_reference.load(self.pinned, "short", self.model)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("drift"))


@pytest.fixture
def settings(project: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Of a monitor that has its reference already: to ask DVC takes a second."""
    monkeypatch.chdir(project.folder)
    monitor_settings = world.monitor(tmp_path)
    shutil.copytree(project.pinned, monitor_settings.folder / drift_check.REFERENCES)
    return monitor_settings


@pytest.fixture
def engine(settings: Settings) -> Iterator[sa.Engine]:
    with records.opened(settings) as log_engine:
        yield log_engine


def check(engine: sa.Engine, settings: Settings, **values: object) -> Drift:
    return drift_check.check(
        engine, settings, world.thresholds(**values), "short", TODAY, with_report=False
    )


def metrics(engine: sa.Engine) -> dict[str, float | None]:
    column = monitoring_metrics.c
    with engine.connect() as connection:
        return {
            name if len(json.loads(tags)) == 1 else f"{name} {json.loads(tags)['feature']}": value
            for name, tags, value in connection.execute(
                sa.select(column.name, column.tags, column.value).order_by(column.id)
            )
        }


def test_windows_without_drift_are_silent(
    project: World, engine: sa.Engine, settings: Settings
) -> None:
    world.add(engine, project.live, project.model)
    drift = check(engine, settings)
    assert (drift.problem, drift.alarm, drift.drifted) == (None, False, ())
    assert (drift.rows, drift.last, drift.model_md5) == (60, TODAY - timedelta(1), project.model)
    values = metrics(engine)
    assert values["drift_alarm"] == values["drift_share"] == values["drift_features"] == 0
    assert values["drift_rows"] == 60
    assert values["drift_p level"] > 0.05  # type: ignore[operator]
    assert values["prediction_share_up"] == 1
    written = json.loads((settings.folder / "drift" / "short.json").read_bytes())
    assert written["rows"] == 60
    slow = written["comparison"]["features"][0]
    assert slow["name"] == "slow"
    assert sum(slow["histogram"]["window"]) == 60
    assert sum(slow["histogram"]["reference"]) > 60


def test_a_shifted_feature_is_found_once_and_its_gauges_say_so(
    project: World, engine: sa.Engine, settings: Settings
) -> None:
    world.add(engine, project.live.with_columns(pl.col("level") + 1), project.model)
    drift = check(engine, settings)
    assert drift.alarm
    assert drift.drifted == ("level",)
    assert drift.share == pytest.approx(0.2)
    rows = records_of(engine, "drift_p")
    assert check(engine, settings) == drift
    # The same window again adds to the history of alarms, not to that of each feature.
    assert records_of(engine, "drift_p") == rows == 5
    assert records_of(engine, "drift_alarm") == 2
    text = gauges.write(engine, settings).read_text()
    assert 'monitor_drift_alarm{horizon="short"} 1.0' in text
    assert 'monitor_drift_features{horizon="short"} 1.0' in text
    assert 'monitor_drift_p{feature="level",horizon="short"}' in text


def test_a_prepared_reference_is_read_again_and_a_damaged_one_made_anew(
    project: World, engine: sa.Engine, settings: Settings
) -> None:
    world.add(engine, project.live, project.model)
    drift = check(engine, settings)
    path = settings.folder / "references" / "short.npz"
    content = path.read_bytes()
    assert check(engine, settings) == drift
    path.write_bytes(content[:1000])
    assert check(engine, settings) == drift
    assert path.stat().st_size == len(content)
    # Another share of false alarms is another calibration.
    assert check(engine, settings, false_alarms=0.2).comparison != drift.comparison


def records_of(engine: sa.Engine, name: str) -> int:
    with engine.connect() as connection:
        query = sa.select(sa.func.count()).where(monitoring_metrics.c.name == name)
        return connection.scalar(query) or 0


def test_a_log_without_forecasts_and_one_with_few_say_so(
    project: World, engine: sa.Engine, settings: Settings
) -> None:
    of_none = check(engine, settings)
    assert of_none.problem is not None
    assert "no forecast of horizon short" in of_none.problem
    assert metrics(engine)["drift_alarm"] is None
    world.add(engine, project.live.head(1), project.model)
    of_one = check(engine, settings)
    assert of_one.problem is not None
    assert "1 forecasts" in of_one.problem
    assert "needs 30" in of_one.problem
    assert not of_one.alarm


def test_a_model_of_no_commit_says_so(engine: sa.Engine, settings: Settings) -> None:
    world.add(engine, world.features(40), "9" * 32)
    drift = check(engine, settings)
    assert drift.problem is not None
    assert "model 99999999 of horizon short" in drift.problem
    assert "git fetch" in drift.problem


def test_a_training_table_that_is_too_short_says_so(
    project: World, engine: sa.Engine, settings: Settings
) -> None:
    world.add(engine, project.rows, project.model)
    drift = check(engine, settings, window=800)
    assert drift.problem is not None
    assert "monitor.drift.window" in drift.problem


def test_missing_values_in_the_log_are_drift_and_no_crash(
    project: World, engine: sa.Engine, settings: Settings
) -> None:
    lost = project.live.with_columns(level=pl.lit(None, pl.Float32))
    world.add(engine, lost, project.model)
    assert check(engine, settings).drifted == ("level",)


def test_the_window_goes_over_a_change_of_models(
    project: World, engine: sa.Engine, settings: Settings
) -> None:
    """A refit every week would else never have a whole window; features are the same."""
    world.add(engine, project.live.head(50), "f" * 32)
    world.add(engine, project.live.head(50), "f" * 32, role="shadow")
    world.add(engine, project.live.tail(20), project.model)
    drift = check(engine, settings)
    assert (drift.rows, drift.problem) == (60, None)
    # What the forecasts look like is asked of the newest model alone.
    assert {proxy.usual for proxy in drift.predictions} != {None}
    assert drift.predictions[0].value == 1


def test_later_bars_do_not_count(project: World, engine: sa.Engine, settings: Settings) -> None:
    world.add(engine, project.live, project.model)
    early = TODAY - timedelta(10)
    drift = drift_check.check(
        engine, settings, world.thresholds(), "short", early, with_report=False
    )
    assert drift.last == early


def test_the_reference_is_that_of_the_commit_and_outlives_the_cache(
    project: World, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = settings.folder / "references"
    reference = drift_reference.load(folder, "short", project.model)
    assert reference.pins.commit == project.commit
    assert reference.rows.equals(project.trained.sort("date", "symbol"))
    assert reference.features == list(world.FEATURES)
    assert reference.forecasts.filter(pl.col("date") < date(2001, 1, 1)).is_empty()
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    # Neither git nor DVC is asked again.
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "executable", "/nowhere")
    again = drift_reference.load(folder, "short", project.model)
    assert again.rows.equals(reference.rows)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_a_changed_reference_is_refused_and_a_lost_one_copied_again(
    project: World, settings: Settings
) -> None:
    folder = settings.folder / "references"
    pins = drift_reference.load(folder, "short", project.model).pins
    path = folder / f"{pins.files['train']}.parquet"
    path.chmod(path.stat().st_mode | stat.S_IWUSR)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(MonitorError, match=f"{path.stem}.parquet has the md5 .*remove it"):
        drift_reference.load(folder, "short", project.model)
    path.unlink()
    assert drift_reference.load(folder, "short", project.model).pins == pins


def test_a_dataset_that_the_cache_lacks_names_the_remedy(
    project: World, settings: Settings, tmp_path: Path
) -> None:
    md5 = drift_reference.load(settings.folder / "references", "short", project.model).pins.dataset
    cached = project.folder / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]
    away = tmp_path / "away"
    cached.rename(away)
    try:
        with pytest.raises(MonitorError, match=f"lacks {md5}.*make pull.*{project.commit[:7]}"):
            drift_reference.load(tmp_path / "other", "short", project.model)
    finally:
        away.rename(cached)


def test_evidently_agrees_and_its_report_loads_nothing_from_elsewhere(
    project: World, engine: sa.Engine, settings: Settings
) -> None:
    live = project.live.with_columns(pl.col("level") + 1)
    world.add(engine, live, project.model)
    drift = drift_check.check(engine, settings, world.thresholds(), "short", TODAY)
    assert drift.problem is None
    assert drift.comparison is not None
    assert "evidently" not in sys.modules
    html = Path(drift.report).read_text(encoding="utf-8")
    assert "level" in html
    assert "<script src" not in html
    assert "<link" not in html
    assert drift.scores is not None
    for feature in drift.comparison.features:
        expected = ks_2samp(live[feature.name], project.trained[feature.name]).statistic
        assert feature.distance == pytest.approx(expected)
        assert drift.scores[feature.name] == pytest.approx(expected)
    # The report of the same window is not made again.
    began = time.monotonic()
    assert drift_check.check(engine, settings, world.thresholds(), "short", TODAY) == drift
    assert time.monotonic() - began < 5


def test_evidently_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": [0.0, 1.0] * 50})
    html = tmp_path / "a.html"
    with pytest.raises(MonitorError, match=r"more than 0\.2 s"):
        report_process.write(frame, frame, {"a": 0.5}, html, timeout=0.2)
    assert not html.exists()


def test_evidently_that_dies_or_fails_is_a_message_and_the_alarm_stays(
    project: World,
    engine: sa.Engine,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world.add(engine, project.live.with_columns(pl.col("level") + 1), project.model)
    check(engine, settings)
    for script, phrase in (
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", f"signal {signal.SIGKILL:d}"),
        ("raise ValueError('no space')", "no space"),
    ):
        python = tmp_path / "python"
        python.write_text(f"#!{os.path.realpath(sys.executable)} -S\n{script}\n")
        python.chmod(0o755)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "executable", str(python))
            drift = drift_check.check(engine, settings, world.thresholds(), "short", TODAY)
        assert drift.problem is not None
        assert phrase in drift.problem
        assert drift.alarm
        assert not drift.report
