"""Runs and stages as frames."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from dashboard.control import pipeline_state, run_tables
from dashboard.control.pipeline_state import StageState
from tests.projects import ROOT
from versions.repository import lock
from versions.repository.lock import Lock
from versions.runs.run_record import Run, StageRun, State

BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def run(state: State = "succeeded", *stages: StageRun, source: str = "dashboard") -> Run:
    return Run(
        id="a",
        title="Reproduce the pipeline",
        words=("dvc", "repro"),
        who="ada",
        source=source,
        began=BEGAN,
        ended=BEGAN + timedelta(seconds=90) if state in ("succeeded", "failed") else None,
        state=state,
        status=None,
        error="",
        stopped_by="",
        stages=stages,
    )


def stage(name: str, seconds: float | None = 2.0, after: int = 0) -> StageRun:
    status = None if seconds is None else 0
    return StageRun(name, BEGAN + timedelta(seconds=after), seconds, status)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (60, "1 min 0 s"),
        (3599.6, "1 h 0 min"),
        (7500, "2 h 5 min"),
    ],
)
def test_seconds_are_said_as_people_say_them(seconds: float | None, text: str) -> None:
    assert run_tables.took(seconds) == text


def test_a_run_without_an_end_took_as_long_as_its_stages() -> None:
    assert run_tables.seconds(run()) == 90
    assert run_tables.seconds(run("ended", stage("a"), stage("b", 3.0, after=10))) == 13
    assert run_tables.seconds(run("killed")) is None
    now = BEGAN + timedelta(seconds=5)
    assert run_tables.seconds(run("running"), now) == 5


def test_stages_of_a_matrix_are_one_part_of_the_bar() -> None:
    newest = run("succeeded", stage("ingest"), stage("train@a"), stage("train@b", 3.0))
    frame = run_tables.durations([newest], ["ingest", "train"], ZoneInfo("Asia/Kolkata"))
    assert frame.rows() == [
        ("01-02 08:34:05", "ingest", 2.0),
        ("01-02 08:34:05", "train", 2.0),
        ("01-02 08:34:05", "train", 3.0),
    ]
    assert run_tables.durations([run()], [], ZoneInfo("UTC")).is_empty()


def test_a_box_says_how_many_of_a_matrix_are_in_the_worst_state() -> None:
    states = [
        StageState("train@a", "up to date", "", None),
        StageState("train@b", "changed", "x", None),
        StageState("clean", "waits", "", None),
    ]
    boxes = run_tables.boxes(states)
    assert boxes["train"] == ("changed", "1 of 2 changed")
    assert boxes["clean"] == ("waits", "waits")


def test_why_names_params_files_and_the_command() -> None:
    entries = [
        {"changed deps": {"params.yaml": {"features.sma": "modified"}, "data/raw": "deleted"}},
        "changed command",
    ]
    assert pipeline_state.why(entries) == "features.sma modified, data/raw deleted, changed command"


def test_what_runs_now_comes_before_what_dvc_had_said() -> None:
    going = run("running", stage("clean"), stage("features", None))
    former = run("succeeded", stage("features", 4.0))
    states = pipeline_state.states(
        ["clean", "features", "latest"], {"latest": ["changed command"]}, Lock({}), [going, former]
    )
    assert [each.state for each in states] == ["ran", "running", "changed"]
    assert states[1].last is not None
    assert states[1].last.seconds == 4.0


def test_whoever_reads_what_a_changed_stage_writes_waits() -> None:
    known = lock.parse((ROOT / "dvc.lock").read_bytes())
    states = pipeline_state.states(list(known.stages), {"dataset@short": []}, known, [])
    waiting = {each.name for each in states if each.state == "waits"}
    assert {"validate_datasets", "train@short-ridge", "evaluate@short"} <= waiting
    assert "clean" not in waiting
    assert "dataset@long" not in waiting
