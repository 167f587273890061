"""The panel of releases: before a version, for who may not act, and up to the tag that it makes."""

import shutil
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard.views.control import release_panel
from monitor.store import audit_trail, records
from tests.dashboard.views import panels
from tests.projects import ROOT, Project
from tests.small import commit, small
from versions.registry import registration


@pytest.fixture(scope="module")
def _original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """short v1.0.0, which is in no stage."""
    project = small(tmp_path_factory.mktemp("panel") / "work")
    (project.folder / ".gitignore").write_text("/var/\n", encoding="utf-8")
    commit(project, "Leave var out")
    registration.register("short", folder=project.folder)
    return project.folder.parent


@pytest.fixture
def work(_original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    shutil.copytree(_original, tmp_path / "copy", symlinks=True)
    folder = tmp_path / "copy" / "work"
    monkeypatch.chdir(folder)
    # What the commands of the page import.
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    st.cache_data.clear()
    return Project(folder)


def panel(project: Project, *, may_act: bool = True) -> AppTest:
    page = panels.panel(release_panel.show, panels.context(project.folder, may_act=may_act))
    assert not page.exception
    return page


def test_before_the_first_version_it_says_what_to_do(work: Project) -> None:
    work.git("tag", "--delete", "short@v1.0.0")
    page = panel(work)
    assert "No version is registered." in panels.texts(page)
    assert not page.button(key="register").disabled
    assert page.button(key="promote").disabled
    assert page.button(key="rollback").disabled


def test_who_may_not_act_sees_the_versions_and_no_way_to_change_them(work: Project) -> None:
    page = panel(work, may_act=False)
    assert page.dataframe[0].value["version"].to_list() == ["v1.0.0"]
    assert "role admin" in panels.texts(page)
    assert all(button.disabled for button in page.button)


def test_changes_are_named_letter_by_letter(work: Project) -> None:
    (work.folder / "a *bold* <i>file").touch()
    page = panel(work)
    assert r"not clean\: a \*bold\* \<i\>file" in page.warning[0].value


def test_a_stage_that_is_no_name_is_one_line(work: Project) -> None:
    page = panel(work)
    for stage in ("a b", "-x", "x;y"):
        page.text_input(key="release-stage").set_value(stage)
        page.button(key="promote").click().run()
        (error,) = page.error
        assert "stage" in error.value


def test_a_promotion_shows_what_it_changes_and_asks_before_it_begins(work: Project) -> None:
    page = panel(work)
    page.button(key="promote").click().run()
    facts = page.dataframe[-1].value
    assert facts["then"].to_list()[0] == "v1.0.0"
    assert "short#production#1" in panels.texts(page)
    assert "does not answer" in panels.texts(page)
    assert page.button(key="confirm").disabled
    assert not page.checkbox[-1].value
    assert work.git("tag").split() == ["short@v1.0.0"]
    # The preview is a command too, and the answer of the same half minute is not asked for again.
    page.button(key="promote").click().run()
    (row,) = audit_trail.replay(work.folder / "var" / records.TRAIL)[audit_trail.RUNS].values()
    assert row["who"] == "ada"
    assert " ".join(row["words"]) == (
        "versions.release promote short v1.0.0 --stage production --dry-run"
    )


def test_what_the_command_would_refuse_is_its_line_and_cannot_be_confirmed(work: Project) -> None:
    page = panel(work)
    page.button(key="register").click().run()
    (error,) = page.error
    assert "is short v1\\.0\\.0 already" in error.value
    assert [button.key for button in page.button] == [
        *("register", "promote", "rollback", "champion"),
    ]
