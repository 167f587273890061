"""What a page says before a release, a promotion or a roll back is what its command then does."""

from dataclasses import asdict
from pathlib import Path

import pytest

from dashboard.control import release_preview, run_commands
from dashboard.control.release_preview import Preview
from dashboard.control.run_commands import Command
from monitor.settings import Settings
from stages.common.errors import StageError
from tests.projects import ROOT, Project
from tests.small import again, commit, small
from versions.registry import promotion, registration
from versions.repository import lock


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """short v1.0.0 in production, then v1.1.0; a module of tests changes it in order."""
    project = small(tmp_path_factory.mktemp("released") / "work")
    (project.folder / ".gitignore").write_text("/var/\n", encoding="utf-8")
    commit(project, "Leave var out")
    registration.register("short", folder=project.folder)
    promotion.promote("short", "v1.0.0", folder=project.folder)
    again(project, 0.8)
    registration.register("short", folder=project.folder)
    return project


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands run in the small project, and are those of this one."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def ask(command: Command, folder: Path) -> Preview:
    return release_preview.ask(command, "ada", Settings(var=folder / "var"), folder)


def test_a_promotion_does_what_its_plan_says_and_to_ask_for_it_does_nothing(
    released: Project,
) -> None:
    folder = released.folder
    before = released.git("tag")
    plan = ask(run_commands.promote("short", "v1.1.0"), folder).plan
    assert plan == asdict(promotion.plan_promotion("short", "v1.1.0", folder=folder))
    assert released.git("tag") == before
    assert (plan["tag"], plan["version"], plan["former"]) == (
        *("short#production#2", "v1.1.0"),
        "v1.0.0",
    )
    table = release_preview.comparison(plan, registration.versions(folder), folder)
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
    back = promotion.plan_rollback("short", folder=folder)
    assert (back.version, back.former) == ("v1.0.0", "v1.1.0")


def test_what_is_refused_is_refused_with_the_line_of_the_command(released: Project) -> None:
    with pytest.raises(StageError) as caught:
        promotion.rollback("short", "staging", released.folder)
    preview = ask(run_commands.rollback("short", "staging"), released.folder)
    assert (preview.plan, preview.problem) == (None, str(caught.value))


def test_a_promotion_without_a_remote_is_refused_before_it_begins(released: Project) -> None:
    released.git("switch", "--quiet", "--create", "alone")
    released.dvc("remote", "remove", "storage")
    commit(released, "No remote")
    with pytest.raises(StageError, match="no default remote is set"):
        promotion.plan_promotion("short", "v1.0.0", "staging", released.folder)


def test_the_monitors_roll_back_says_why_there_is_none(released: Project) -> None:
    preview = ask(run_commands.champion_rollback("ada"), released.folder)
    assert preview.plan is None
    assert "there is no prediction log" in preview.problem


def test_versions_are_a_table_of_text(released: Project) -> None:
    table = release_preview.versions_table(registration.versions(released.folder))
    newest, oldest = table.to_dicts()
    assert (newest["version"], newest["MAE"], newest["AUC"]) == ("v1.1.0", "0.800 %", "0.500")
    assert oldest["fold OOS R2"] == "-"
    assert newest["by"] == "Tests"
