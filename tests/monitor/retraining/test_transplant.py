"""What one commit changed, carried over to a commit that has gone on."""

import io
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from monitor.retraining.training_clone import TrainingClone
from monitor.retraining.transplant import Transplant
from monitor.settings import MonitorError
from tests.projects import Project

PARAMS = """# every knob
data:
  as_of: '2012-06-29'
models:
  ridge:
    alpha: 10.0
train:
  # of the folds
  seed: 0
monitor:
  window: 200
"""

Edit = Callable[[Project], None]


@pytest.fixture
def repository(tmp_path: Path) -> Project:
    """One commit with params, a lock, a metric and code."""
    project = Project(tmp_path / "project")
    project.folder.mkdir()
    project.git("init", "--quiet", "--initial-branch=main")
    project.git("config", "user.email", "tests@example.org")
    project.git("config", "user.name", "Tests")
    for name, text in {
        "params.yaml": PARAMS,
        "dvc.lock": "first\n",
        "metrics/short.json": "{}\n",
        "stages/train.py": "first\n",
        "README.md": "first\n",
    }.items():
        write(project, name, text)
    commit(project)
    return project


def write(project: Project, name: str, text: str) -> None:
    (project.folder / name).parent.mkdir(exist_ok=True)
    (project.folder / name).write_text(text, encoding="utf-8")


def commit(project: Project) -> str:
    project.git("add", "--all")
    project.git("commit", "--quiet", "--no-verify", "--message=Change")
    return project.git("rev-parse", "HEAD").strip()


def transplant(project: Project, source: Edit, onto: Edit) -> Transplant:
    """The change of one edit, for what another edit made of the same commit."""
    base = project.git("rev-parse", "HEAD").strip()
    commits = []
    for edit in (source, onto):
        project.git("checkout", "--quiet", "--detach", base)
        edit(project)
        commits.append(commit(project))
    return Transplant(TrainingClone(project.folder, project.folder, io.StringIO()), base, *commits)


def challenger(project: Project) -> None:
    project.set("2012-06-29", "2012-08-31")
    project.set("alpha: 10.0", "alpha: 5.0")
    write(project, "dvc.lock", "challenger\n")
    write(project, "metrics/short.json", '{"challenger": 1}\n')
    write(project, "metrics/short/new.csv", "1\n")


def refreshed(project: Project) -> None:
    project.set("2012-06-29", "2012-12-28")
    project.set("window: 200", "window: 300")
    write(project, "dvc.lock", "newer bars\n")
    write(project, "metrics/clean.json", "{}\n")
    write(project, "README.md", "second\n")
    write(project, "decisions/1.json", "{}\n")


def test_models_come_with_their_lock_and_params_of_both_are_kept(repository: Project) -> None:
    carried = transplant(repository, challenger, refreshed)
    carried.apply()
    folder = repository.folder
    expected = PARAMS.replace("2012-06-29", "2012-08-31").replace("10.0", "5.0")
    expected = expected.replace("200", "300")
    assert (folder / "params.yaml").read_text(encoding="utf-8") == expected
    assert (folder / "dvc.lock").read_text(encoding="utf-8") == "challenger\n"
    assert (folder / "metrics/short.json").read_text(encoding="utf-8") == '{"challenger": 1}\n'
    assert (folder / "metrics/short/new.csv").exists()
    assert not (folder / "metrics/clean.json").exists()
    assert (folder / "README.md").read_text(encoding="utf-8") == "second\n"
    assert (folder / "decisions/1.json").exists()
    assert carried.newest() == date(2012, 12, 28)


def test_code_of_the_challenger_comes_along(repository: Project) -> None:
    def code(project: Project) -> None:
        challenger(project)
        write(project, "stages/train.py", "challenger\n")
        write(project, "stages/new.py", "challenger\n")

    transplant(repository, code, refreshed).apply()
    for name in ("train", "new"):
        path = repository.folder / "stages" / f"{name}.py"
        assert path.read_text(encoding="utf-8") == "challenger\n"


@pytest.mark.parametrize(
    ("edit", "place"),
    [
        (lambda project: project.set("alpha: 10.0", "alpha: 7.0"), "params.yaml"),
        (lambda project: write(project, "stages/train.py", "ours\n"), "stages/train.py"),
    ],
)
def test_what_both_changed_is_refused(repository: Project, edit: Edit, place: str) -> None:
    def code(project: Project) -> None:
        challenger(project)
        write(project, "stages/train.py", "challenger\n")

    with pytest.raises(MonitorError) as error:
        transplant(repository, code, edit).apply()
    assert place in str(error.value)
    assert "train it again" in str(error.value)
