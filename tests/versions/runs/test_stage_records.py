"""Stages that DVC runs from a terminal are on record, and nothing depends on that."""

import sys
from pathlib import Path

import pytest

from stages.common import stage_record
from stages.common.paths import RUNS
from tests.projects import ROOT, Project
from tests.versions.runs.tiny_pipeline import order, tiny
from versions.runs import run_record


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return tiny(tmp_path_factory.mktemp("tiny") / "project")


def repro(project: Project, *arguments: str) -> str:
    # A process of DVC as users start it; that of the other tests is forked.
    command = (sys.executable, "-m", "dvc", *(arguments or ("repro",)))
    return project.run(*command, check=False, PYTHONPATH=str(ROOT), USER="ada")


def test_a_run_from_a_terminal_is_on_record_with_the_time_of_each_stage(project: Project) -> None:
    order(project, "first", seconds=0.3)
    repro(project)
    (run,) = run_record.listed(project.folder / RUNS)
    assert (run.title, run.who, run.source, run.state) == ("dvc repro", "ada", "terminal", "ended")
    assert [(each.name, each.status) for each in run.stages] == [("first", 0), ("second", 0)]
    assert run.stages[0].seconds is not None
    assert run.stages[0].seconds > 0.3
    assert run.began <= run.stages[0].began <= run.stages[1].began
    # What had not changed takes no time.
    repro(project)
    assert len(run_record.listed(project.folder / RUNS)) == 1


def test_a_stage_that_fails_is_on_record_with_its_line(project: Project) -> None:
    order(project, "second", error="bars of AAPL: 3 rows are wrong; mend them")
    repro(project)
    run = run_record.listed(project.folder / RUNS)[0]
    assert run.state == "failed"
    assert run.error == "bars of AAPL: 3 rows are wrong; mend them"
    order(project, "second")


def test_an_experiment_beside_the_workspace_is_on_record_in_the_project(project: Project) -> None:
    order(project, "second", seconds=0.01)
    repro(project, "exp", "run", "--temp", "--name=slower")
    run = run_record.listed(project.folder / RUNS)[0]
    assert run.title == "dvc exp run of slower"
    assert [stage.name for stage in run.stages][-1] == "second"


def test_a_stage_needs_no_record(tmp_path: Path) -> None:
    project = tiny(tmp_path / "project")
    (project.folder / "var").write_text("a file where the folder should be", encoding="utf-8")
    repro(project)
    assert (project.folder / "made" / "second").exists()


def test_the_oldest_records_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_record, "MAX_RUNS", 3)
    for number in range(5):
        stage_record.create(tmp_path / "runs" / str(number), {})
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["2", "3", "4"]


def test_a_record_that_was_cut_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    folder = tmp_path / "dvc-1-2"
    content = {"title": "t", "words": [], "who": "ada", "began": 1.0, "source": "terminal"}
    stage_record.create(folder, content)
    lines = '{"stage": "first", "began": 2.0}\n{"stage": "first", "sec'
    (folder / "stages.jsonl").write_text(lines, encoding="utf-8")
    (run,) = run_record.listed(tmp_path)
    assert run.state == "killed"
    assert [(stage.name, stage.seconds) for stage in run.stages] == [("first", None)]
