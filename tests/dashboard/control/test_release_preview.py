"""What a page says before a release, a promotion or a roll back is what its command then does."""

import subprocess
import sys
from pathlib import Path

import pytest

from dashboard.control import release_preview, run_commands
from dashboard.control.run_commands import Command
from tests.projects import Project
from tests.small import again, commit, small
from versions.registry import promotion
from versions.repository import lock


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """short v1.0.0 in production, then v1.1.0; a module of tests changes it in order."""
    project = small(tmp_path_factory.mktemp("released") / "work")
    (project.folder / ".gitignore").write_text("/var/\n", encoding="utf-8")
    commit(project, "Leave var out")
    promotion.register("short", folder=project.folder)
    promotion.promote("short", "v1.0.0", folder=project.folder)
    again(project, 0.8)
    promotion.register("short", folder=project.folder)
    return project


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands run in the small project, and are those of this one."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def said(command: Command, folder: Path) -> str:
    """What a command says when it is run and refuses."""
    words = [sys.executable, "-m", *command.words]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    return done.stderr.strip().splitlines()[-1].removeprefix("error: ")


def test_a_promotion_does_what_its_plan_says_and_the_plan_does_nothing(released: Project) -> None:
    folder = released.folder
    before = released.git("tag")
    plan = release_preview.ask(run_commands.promote("short", "v1.1.0"), folder).plan
    assert plan is not None
    assert released.git("tag") == before
    assert (plan["tag"], plan["version"], plan["former"]) == (
        *("short#production#2", "v1.1.0"),
        "v1.0.0",
    )
    rows = promotion.versions(folder)
    table = release_preview.comparison(plan, rows, folder)
    facts = {row[""]: (row["now"], row["then"]) for row in table.to_dicts()}
    md5s = tuple(
        lock.at(f"short@{version}", folder).outs["models/short/model.onnx"].md5
        for version in ("v1.0.0", "v1.1.0")
    )
    assert facts["version"] == ("v1.0.0", "v1.1.0")
    assert facts["md5 of the graph"] == md5s
    assert facts["MAE"] == ("0.900 %", "0.800 %")
    assert facts["RMSE"] == ("-", "-")
    lines = " ".join(release_preview.consequences(plan, md5s[0], md5s[1]))
    assert "short#production#2" in lines
    assert "checked out" in lines
    assert md5s[0][:8] in lines
    assert "already" in " ".join(release_preview.consequences(plan, md5s[1], md5s[1]))
    assert "does not answer" in " ".join(release_preview.consequences(plan, None, md5s[1]))
    assert promotion.promote("short", "v1.1.0", folder=folder).tag == plan["tag"]
    back = release_preview.ask(run_commands.rollback("short"), folder).plan
    assert back is not None
    assert (back["version"], back["former"]) == ("v1.0.0", "v1.1.0")


def test_what_is_refused_is_refused_with_the_line_of_the_command(released: Project) -> None:
    folder = released.folder
    rollback = run_commands.rollback("short", "staging")
    for command, fact in (
        (run_commands.register("short"), "is short v1.1.0 already"),
        (run_commands.promote("short", "v9.0.0"), "has no version v9.0.0"),
        (rollback, "no version of short is in staging"),
    ):
        preview = release_preview.ask(command, folder)
        assert preview.plan is None
        assert fact in preview.problem
    assert preview.problem == said(rollback, folder)
    (folder / "new").touch()
    preview = release_preview.ask(run_commands.rollback("short"), folder)
    assert "the tree is not clean: new" in preview.problem
    (folder / "new").unlink()


def test_a_promotion_without_a_remote_is_refused_before_it_begins(released: Project) -> None:
    folder = released.folder
    released.git("switch", "--quiet", "--create", "alone")
    released.dvc("remote", "remove", "storage")
    commit(released, "No remote")
    preview = release_preview.ask(run_commands.promote("short", "v1.0.0", "staging"), folder)
    assert "no default remote is set" in preview.problem


def test_the_monitors_roll_back_says_why_there_is_none(released: Project) -> None:
    preview = release_preview.ask(run_commands.champion_rollback("ada"), released.folder)
    assert preview.plan is None
    assert "there is no prediction log" in preview.problem


def test_versions_are_a_table_of_text(released: Project) -> None:
    table = release_preview.versions_table(promotion.versions(released.folder))
    newest, oldest = table.to_dicts()
    assert (newest["version"], newest["MAE"], newest["AUC"]) == ("v1.1.0", "0.800 %", "0.500")
    assert oldest["fold OOS R2"] == "-"
    assert newest["by"] == "Tests"
