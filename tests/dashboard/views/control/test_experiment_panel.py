"""The form of an experiment: what it shows of a change, what it refuses, and who may start one."""

import shutil
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.views.control import experiment_panel
from tests.dashboard.views import panels
from tests.projects import ROOT, Project
from tests.small import commit, small
from versions.runs import run_record

ALPHA = "param:models.ridge.alpha"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """What the form reads of a project: its params and pipeline, and experiments of git."""
    for name in ("params.yaml", "dvc.yaml", "dvc.lock"):
        shutil.copy(ROOT / name, tmp_path)
    repository = Project(tmp_path)
    repository.git("init", "--quiet")
    repository.git("config", "user.email", "tests@example.org")
    repository.git("config", "user.name", "Tests")
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "--message=Params")
    monkeypatch.chdir(tmp_path)
    return repository


def form(project: Project, wanted: str = "alpha", *, may_act: bool = True) -> AppTest:
    page = panels.panel(experiment_panel.show, panels.context(project.folder, may_act=may_act))
    if not page.error:
        search(page, wanted)
    return page


def search(page: AppTest, wanted: str) -> None:
    """Show the params of a search; a section shows its widgets when it is open."""
    page.text_input(key="param-search").set_value(wanted).run()


def start(page: AppTest, name: str) -> AppTest:
    page.text_input(key="experiment-name").set_value(name)
    return page.button[-1].click().run()


def test_a_change_is_shown_with_the_stages_that_it_runs_again(project: Project) -> None:
    page = form(project)
    assert not page.exception
    assert len(page.dataframe) == 0
    assert page.button[-1].disabled
    page.number_input(key=ALPHA).set_value(5.0).run()
    assert page.dataframe[0].value.to_dict("records") == [
        {"param": "models.ridge.alpha", "now": "10.0", "experiment": "5.0"}
    ]
    runs, then = panels.texts(page).splitlines()[-2:]
    assert {"train@short-ridge", "train@long-ridge", "evaluate@short"} <= set(
        runs.removeprefix("Runs again: ").split(", ")
    )
    assert "train@short-xgboost" not in runs + then
    assert "backtest@short" in then
    assert not page.button[-1].disabled


def test_what_the_search_hides_is_not_forgotten(project: Project) -> None:
    page = form(project)
    page.number_input(key=ALPHA).set_value(5.0).run()
    search(page, "walk-forward")
    assert [widget.key for widget in page.number_input] == ["param:train.folds"]
    page.number_input(key="param:train.folds").set_value(3).run()
    assert page.dataframe[0].value["param"].to_list() == ["train.folds", "models.ridge.alpha"]
    search(page, "alpha")
    assert page.number_input(key=ALPHA).value == 5.0


def test_a_mistake_is_one_line_and_starts_nothing(project: Project) -> None:
    page = form(project, "sma")
    page.text_input(key="param:features.sma").set_value("5, 5").run()
    (error,) = page.error
    assert error.value.startswith("features\\.sma")
    assert page.button[-1].disabled
    page.text_input(key="param:features.sma").set_value("5, 20").run()
    assert not page.error
    assert page.dataframe[0].value.to_dict("records")[0]["experiment"] == "[5,20]"


def test_a_name_that_cannot_be_is_refused(project: Project) -> None:
    head = project.git("rev-parse", "HEAD").strip()
    project.git("update-ref", f"refs/exps/{head[:2]}/{head[2:]}/mine", "HEAD")
    page = form(project)
    page.number_input(key=ALPHA).set_value(5.0).run()
    for name in ("", "-rf", "a; b", "mine"):
        start(page, name)
        (error,) = page.error
        assert "experiment" in error.value
    assert not (project.folder / "var").exists()


def test_who_may_not_act_looks_and_cannot_start(project: Project) -> None:
    page = form(project, may_act=False)
    page.number_input(key=ALPHA).set_value(5.0).run()
    assert page.button[-1].disabled
    assert "role admin" in panels.texts(page)


def test_params_that_are_wrong_already_are_one_line(project: Project) -> None:
    project.set("alpha: 10.0", "alfa: <b>1</b>", "params.yaml")
    page = form(project)
    (error,) = page.error
    assert "alfa" in error.value
    assert not page.number_input


def test_a_pipeline_that_never_ran_says_what_to_run(project: Project) -> None:
    (project.folder / "dvc.lock").unlink()
    page = form(project)
    page.number_input(key=ALPHA).set_value(5.0).run()
    (error,) = page.error
    assert "dvc repro" in error.value


@pytest.mark.slow
def test_an_experiment_is_run_with_what_was_changed_and_the_workspace_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = small(tmp_path / "work")
    (work.folder / ".gitignore").write_text("/var/\n", encoding="utf-8")
    commit(work, "Leave var out")
    monkeypatch.chdir(work.folder)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    page = form(work, "evaluate level")
    page.number_input(key="param:evaluate.level").set_value(0.75).run()
    assert panels.texts(page).endswith("Runs again: evaluate")
    start(page, "narrower")
    assert not page.error
    deadline = time.monotonic() + 120
    while run_record.running() is not None and time.monotonic() < deadline:
        time.sleep(0.1)
    tried = work.git("show", f"{work.experiment('narrower')}:params.yaml")
    assert "  level: 0.75\n" in tried
    assert work.git("status", "--porcelain") == ""
