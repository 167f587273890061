"""Pipeline Control, page by page: what it shows in each state of the project and of a run."""

import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard import sign_in
from dashboard.control import pipeline_state, run_commands, run_process
from dashboard.page_context import Context
from dashboard.sign_in import Viewer
from dashboard.views import control_view
from monitor.store import audit_trail, records
from serve.edge.keyring import Keyring, make, write
from stages.common import processes, stage_record
from stages.common.paths import RUNS
from tests.dashboard.views import panels
from tests.projects import ROOT
from tests.versions.runs.tiny_pipeline import tiny
from versions.runs import run_record
from versions.runs.run_locks import RunningError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project that DVC has nothing to say of."""
    for name in ("params.yaml", "dvc.yaml", "dvc.lock"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pipeline_state, "changes", lambda *_: {})
    st.cache_data.clear()
    yield tmp_path
    st.cache_data.clear()


def page(folder: Path, part: str = "Stages", *, may_act: bool = True) -> AppTest:
    def show(context: Context) -> None:
        if "part" not in st.session_state:
            st.session_state["part"] = part
        control_view.show(context)

    app = panels.panel(show, panels.context(folder, may_act=may_act))
    assert not app.exception
    return app


def record(name: str, *, status: int | None = 0, who: str = "ada", error: str = "") -> Path:
    """A run of the dashboard a day ago."""
    began = datetime.now(UTC) - timedelta(days=1)
    run_record.create(RUNS / name, "Reproduce the pipeline", ("dvc", "repro"), who, began)
    stage = {"stage": "ingest", "began": began.timestamp()}
    end = {"stage": "ingest", "seconds": 65.0, "status": status, "error": error}
    lines = f"{json.dumps(stage)}\n{json.dumps(end)}\n"
    (RUNS / name / "stages.jsonl").write_text(lines, encoding="utf-8")
    if status is not None:
        run_record.note_end(RUNS / name, began + timedelta(minutes=2), status, error)
    return RUNS / name


def test_all_stages_are_up_to_date_and_nothing_ever_ran(folder: Path) -> None:
    app = page(folder)
    assert "no run is on record yet" in panels.texts(app)
    assert "All 23 stages are up to date." in panels.texts(app)
    table = app.dataframe[0].value
    assert table["stage"].to_list()[:3] == ["params", "ingest", "clean"]
    assert set(table["state"]) == {"✓ up to date"}
    assert set(table["last took"]) == {"-"}


def test_a_stage_that_has_changed_says_why_and_later_ones_wait(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = {"clean": [{"changed deps": {"params.yaml": {"clean.fill": "modified"}}}]}
    monkeypatch.setattr(pipeline_state, "changes", lambda *_: changed)
    record("20260101T000000-aaaa")
    app = page(folder)
    rows = app.dataframe[0].value.set_index("stage")
    assert rows.loc["clean", "state"] == "● changed"
    assert rows.loc["clean", "why"] == "clean.fill modified"
    assert rows.loc["explain@short", "state"] == "○ waits"
    assert rows.loc["ingest", "state"] == "✓ up to date"
    assert rows.loc["ingest", "last took"] == "1 min 5 s"
    assert "Changed: 1 of 23 stages" in panels.texts(app)


def test_dvc_is_asked_once_for_all_and_the_audit_trail_says_who_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tiny(tmp_path / "project")
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    st.cache_data.clear()
    ada = panels.context(project.folder)
    bob = replace(ada, viewer=Viewer("bob", "", may_act=False))
    looks = [panels.panel(control_view.show, who) for who in (ada, bob)]
    for app in looks:
        assert "Changed: 2 of 2 stages" in panels.texts(app)
    again = next(button for button in looks[1].button if button.label == "Ask again")
    again.click().run()
    rows = audit_trail.replay(project.folder / "var" / records.TRAIL)[audit_trail.RUNS].values()
    assert [(row["who"], row["words"]) for row in rows] == [
        ("ada", ["dvc", "status", "--json"]),
        ("bob", ["dvc", "status", "--json"]),
    ]


def test_without_an_audit_trail_dvc_is_not_asked_and_the_page_says_why(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    (folder / "var").write_text("a file in its place")
    app = page(folder)
    assert set(app.dataframe[0].value["state"]) == {"? unknown"}
    assert "audit cannot be written" in panels.texts(app)


def test_a_dvc_that_fails_leaves_a_page(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> pipeline_state.Changes:
        raise pipeline_state.StatusError("dvc status: <b>dvc.yaml</b> is wrong")

    monkeypatch.setattr(pipeline_state, "changes", fail)
    app = page(folder)
    assert set(app.dataframe[0].value["state"]) == {"? unknown"}
    assert r"\<b\>dvc\.yaml\</b\> is wrong" in panels.texts(app)


def test_without_a_pipeline_the_page_says_what_to_do(folder: Path) -> None:
    (folder / "dvc.yaml").unlink()
    assert "root of the project" in panels.texts(page(folder))


def test_whoever_may_not_act_sees_all_and_which_key_is_needed(folder: Path) -> None:
    app = page(folder, "Run", may_act=False)
    assert "role admin" in panels.texts(app)
    assert [button.disabled for button in app.button] == [True, True]


def test_the_last_run_and_its_error_are_shown(folder: Path) -> None:
    record("20260101T000000-aaaa", status=1, error="bars of <AAPL>: 3 rows are wrong")
    app = page(folder)
    assert "The last run, Reproduce the pipeline, failed" in panels.texts(app)
    assert r"bars of \<AAPL\>\: 3 rows are wrong" in panels.texts(app)


def test_a_run_in_a_terminal_is_shown_as_running(folder: Path) -> None:
    me = processes.process(os.getpid())
    assert me is not None
    begin = {"title": "dvc repro", "words": ["dvc", "repro"], "who": "bob", "source": "terminal"}
    stage_record.create(RUNS / "dvc-1-1", begin | {"began": time.time()})
    stage_record.note_process(RUNS / "dvc-1-1", me)
    line = json.dumps({"stage": "ingest", "began": time.time()})
    (RUNS / "dvc-1-1" / "stages.jsonl").write_text(line + "\n", encoding="utf-8")
    app = page(folder)
    assert "bob runs it in a terminal since" in panels.texts(app)
    assert "ingest runs for" in panels.texts(app)
    assert app.dataframe[0].value.set_index("stage").loc["ingest", "state"] == "▶ running"
    assert not [button for button in app.button if button.label == "Stop this run"]
    assert all(button.disabled for button in page(folder, "Run").button)


def test_recent_runs_are_listed_and_each_can_be_looked_at(folder: Path) -> None:
    record("20260101T000000-aaaa")
    killed = record("20260102T000000-bbbb", status=None, who="bob")
    (killed / "log").write_text("".join(f"line {n}\n" for n in range(1000)), encoding="utf-8")
    app = page(folder, "Recent runs")
    assert app.dataframe[0].value["state"].to_list() == ["✗ killed", "✓ succeeded"]
    assert app.dataframe[0].value["who"].to_list() == ["bob", "ada"]
    assert "bob began it" in panels.texts(app)
    assert app.code[-1].value.endswith("line 999")
    assert "The last 400 lines" in panels.texts(app)
    app.selectbox(key="run").select("20260101T000000-aaaa").run()
    assert "succeeded after 2 min 0 s; ada began it" in panels.texts(app)


def test_no_run_yet_says_how_to_start_one(folder: Path) -> None:
    assert "No run is on record yet" in panels.texts(page(folder, "Recent runs"))


def test_buttons_start_the_commands_of_the_list(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[run_commands.Command, str]] = []
    monkeypatch.setattr(
        run_process, "start", lambda command, who, _: started.append((command, who))
    )
    app = page(folder, "Run")
    app.multiselect(key="stages").select("latest").run()
    app.button(key="reproduce").click().run()
    app.date_input[0].set_value(datetime(2012, 12, 30, tzinfo=UTC).date()).run()
    app.toggle[0].set_value(True).run()
    app.button(key="refresh").click().run()
    assert started == [
        (run_commands.reproduce(["latest"]), "ada"),
        (run_commands.refresh(datetime(2012, 12, 30, tzinfo=UTC).date(), keep_models=True), "ada"),
    ]


def test_a_refusal_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> str:
        raise RunningError("Reproduce: bob runs it since 09:00")

    monkeypatch.setattr(run_process, "start", refuse)
    app = page(folder, "Run")
    app.button(key="reproduce").click().run()
    assert "bob runs it since" in panels.texts(app)


def test_an_open_page_whose_key_lost_its_role_starts_and_stops_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    acted: list[str] = []
    monkeypatch.setattr(run_process, "start", lambda *_: acted.append("start"))
    monkeypatch.setattr(run_process, "stop", lambda *_: acted.append("stop"))
    secret, key = make("ada", ["admin"])
    write(folder / "keys", [key])
    keys = Keyring(path=folder / "keys")
    monkeypatch.setattr(sign_in, "keyring", lambda: keys)
    who = replace(panels.context(folder), viewer=Viewer("ada", secret, may_act=True))
    app = panels.panel(control_view.show, who, part="Run")
    write(folder / "keys", [replace(key, roles=frozenset({"predict"}))])
    app.button(key="reproduce").click().run()
    assert "ada may not act" in panels.texts(app)
    me = processes.process(os.getpid())
    assert me is not None
    run_record.create(RUNS / "1", "Reproduce", ("dvc", "repro"), "bob", datetime.now(UTC))
    stage_record.note_process(RUNS / "1", me)
    app = panels.panel(control_view.show, who, part="Run")
    app.button(key="stop:1").click().run()
    assert "ada may not act" in panels.texts(app)
    write(folder / "keys", [])
    app.run()
    assert "ada was removed" in panels.texts(app)
    assert not app.button
    assert not acted
