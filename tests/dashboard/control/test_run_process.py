"""Runs of Pipeline Control: processes of their own, one at a time, each in the audit trail."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dashboard.control import run_process
from dashboard.control.run_commands import Command, experiment
from monitor.retraining import running_lock
from monitor.settings import Settings
from monitor.store import audit_trail, records
from stages.common.paths import RUNS
from tests.projects import ROOT
from tests.versions.runs.tiny_pipeline import order, tiny
from versions.runs import log_tail, run_locks, run_record
from versions.runs.run_locks import RunningError
from versions.runs.run_record import Run

WORK = """
import signal, sys, time
from pathlib import Path

print("begins", flush=True)
if "deaf" in sys.argv:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
Path("ready").touch()
while "long" in sys.argv and not Path("enough").exists():
    time.sleep(0.02)
if "fail" in sys.argv:
    sys.exit("error: bars of AAPL: 3 rows are wrong; mend them")
"""

SHORT = Command("Short work", ("work",))
LONG = Command("Long work", ("work", "long"))


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Of a folder in which `python -m work` does what a pipeline would; nothing stays running."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (tmp_path / "work.py").write_text(WORK, encoding="utf-8")
    yield Settings(var=Path("var"))
    for folder in RUNS.glob("2*"):
        for process in run_record.started(folder):
            if process.alive:
                os.kill(process.pid, signal.SIGKILL)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def read(name: str) -> Run:
    run = run_record.read(RUNS / name)
    assert run is not None
    return run


def ended(name: str) -> Run:
    until(lambda: read(name).state != "running")
    return read(name)


def working(settings: Settings, command: Command = LONG) -> str:
    """A run whose command is at work."""
    name = run_process.start(command, "ada", settings)
    until(lambda: Path("ready").exists() and len(run_record.started(RUNS / name)) > 1)
    return name


def test_a_run_ends_and_is_on_record_with_its_log(settings: Settings) -> None:
    run = ended(run_process.start(SHORT, "ada", settings))
    assert (run.state, run.status, run.who, run.source) == ("succeeded", 0, "ada", "dashboard")
    assert run.ended is not None
    assert run.ended > run.began
    assert log_tail.read(RUNS / run.id / "log").lines == ("begins",)
    assert run_process.current() is None


def test_a_run_that_fails_says_why(settings: Settings) -> None:
    run = ended(run_process.start(Command("Wrong work", ("work", "fail")), "ada", settings))
    assert (run.state, run.status) == ("failed", 1)
    assert run.error == "bars of AAPL: 3 rows are wrong; mend them"


def test_a_second_run_is_refused_and_says_who_runs_what_since_when(settings: Settings) -> None:
    name = working(settings)
    with pytest.raises(
        RunningError, match=r"Long work: ada runs it since \d{4}-\d\d-\d\d \d\d:\d\d"
    ):
        run_process.start(SHORT, "bob", settings)
    Path("enough").touch()
    ended(name)
    until(lambda: run_process.current() is None)
    assert ended(run_process.start(SHORT, "bob", settings)).state == "succeeded"


def test_every_start_and_stop_is_in_the_audit_trail(settings: Settings) -> None:
    name = working(settings)
    run_process.stop(name, "bob", settings)
    assert ended(name).state == "stopped"
    rows = audit_trail.replay(settings.var / records.TRAIL)[audit_trail.RUNS]
    assert {key: (row["event"], row["who"], row["words"]) for key, row in rows.items()} == {
        f"{name} started": (f"{name} started", "ada", ["work", "long"]),
        f"{name} stopped": (f"{name} stopped", "bob", ["work", "long"]),
    }
    # They are no rows of a table: restoring those is not in their way.
    with records.opened(settings) as engine:
        assert records.restore(engine, settings.var / records.TRAIL) == {}


def test_nothing_starts_without_its_entry_in_the_audit_trail(settings: Settings) -> None:
    trail = settings.var / records.TRAIL
    trail.mkdir(parents=True)
    (trail / "2999-01-01.parquet").write_bytes(b"damaged")
    with pytest.raises(Exception, match="audit trail is damaged"):
        run_process.start(SHORT, "ada", settings)
    assert run_record.listed() == []


def test_a_run_is_stopped_as_by_ctrl_c(settings: Settings) -> None:
    run_process.stop(name := working(settings), "bob", settings)
    run = ended(name)
    assert (run.state, run.stopped_by) == ("stopped", "bob")
    assert "KeyboardInterrupt" in "\n".join(log_tail.read(RUNS / name / "log").lines)
    with pytest.raises(RunningError, match="has ended"):
        run_process.stop(name, "bob", settings)


def test_what_does_not_heed_a_stop_is_killed(settings: Settings) -> None:
    folder = RUNS / "20260101T000000-test"
    run_record.create(folder, "Deaf work", ("work", "long", "deaf"), "ada", settings.clock)
    supervisor = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import sys; sys.argv[1:] = [{str(folder)!r}]\n"
            "from versions.runs import supervise\n"
            "supervise.STOP_SECONDS = 1\n"
            "supervise.main()",
        ]
    )
    run_record.note_process(folder, supervisor.pid)
    until(lambda: Path("ready").exists() and len(run_record.started(folder)) > 1)
    run_process.stop(folder.name, "bob", settings)
    assert supervisor.wait(60) == 0
    run = read(folder.name)
    assert (run.state, run.status) == ("stopped", -signal.SIGKILL)


def test_a_run_whose_supervisor_was_killed_goes_on_and_can_be_stopped(settings: Settings) -> None:
    name = working(settings)
    supervisor, command = run_record.started(RUNS / name)
    os.kill(supervisor.pid, signal.SIGKILL)
    until(lambda: not supervisor.alive)
    assert read(name).state == "running"
    with pytest.raises(RunningError, match="Long work"):
        run_process.start(SHORT, "bob", settings)
    run_process.stop(name, "bob", settings)
    assert not command.alive
    assert read(name).state == "killed"


def test_a_run_that_was_killed_is_not_shown_as_running(settings: Settings) -> None:
    name = working(settings)
    for process in reversed(run_record.started(RUNS / name)):
        os.kill(process.pid, signal.SIGKILL)
    assert ended(name).state in ("killed", "failed")
    until(lambda: run_process.current() is None)
    assert ended(run_process.start(SHORT, "ada", settings)).state == "succeeded"


def test_a_run_outlives_the_process_that_started_it(settings: Settings) -> None:
    code = (
        "from monitor.settings import Settings\n"
        "from pathlib import Path\n"
        "from dashboard.control import run_process\n"
        "from dashboard.control.run_commands import Command\n"
        "command = Command('Long work', ('work', 'long'))\n"
        "run_process.start(command, 'ada', Settings(var=Path('var')))"
    )
    # In a group of its own, all of which ends, as with a terminal that is closed.
    starter = subprocess.Popen([sys.executable, "-c", code], process_group=0)
    assert starter.wait(60) == 0
    until(lambda: Path("ready").exists())
    run = run_process.current()
    assert run is not None
    assert run.title == "Long work"
    Path("enough").touch()
    assert ended(run.id).state == "succeeded"
    assert settings.var.exists()


def test_the_monitor_and_a_run_exclude_each_other(settings: Settings) -> None:
    with (
        running_lock.hold(settings, "retraining for drift"),
        pytest.raises(RunningError, match="retraining for drift has been running since"),
    ):
        run_process.start(SHORT, "ada", settings)
    name = working(settings)
    with (
        pytest.raises(Exception, match="Long work has been running since"),
        running_lock.hold(settings, "retraining for drift"),
    ):
        pass
    Path("enough").touch()
    ended(name)


def test_a_dvc_that_holds_outputs_is_named(tmp_path: Path) -> None:
    busy = tmp_path / run_locks.BUSY_FILE
    busy.parent.mkdir(parents=True)
    entry = '{"write": {"/p/data": {"pid": %d, "cmd": "/usr/bin/dvc repro"}}, "read": {}}'
    busy.write_text(entry % os.getpid(), encoding="utf-8")
    # That number is of another process by now.
    assert run_locks.busy_dvc(tmp_path) is None
    dvc = subprocess.Popen(["dvc", "60"], executable="/bin/sleep")
    busy.write_text(entry % dvc.pid, encoding="utf-8")
    until(lambda: run_locks.busy_dvc(tmp_path))
    assert run_locks.busy_dvc(tmp_path) == f"`/usr/bin/dvc repro` (process {dvc.pid})"
    dvc.kill()
    dvc.wait()
    assert run_locks.busy_dvc(tmp_path) is None
    busy.write_text("{", encoding="utf-8")
    assert run_locks.busy_dvc(tmp_path) is None


@pytest.mark.slow
def test_dvc_goes_on_where_it_was_stopped_and_excludes_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    project = tiny(tmp_path / "project")
    monkeypatch.chdir(project.folder)
    command = Command("Reproduce the pipeline", ("dvc", "--wait-for-lock", "repro"))
    order(project, "second", seconds=60)
    name = run_process.start(command, "ada", settings)
    until(lambda: [stage.name for stage in read(name).stages] == ["first", "second"])
    assert read(name).stages[0].status == 0
    output = project.run(sys.executable, "-m", "dvc", "repro", check=False)
    assert "busy" in output
    run_process.stop(name, "ada", settings)
    run = ended(name)
    assert run.state == "stopped"
    assert run.stages[1].error == "interrupted"
    until(lambda: run_process.current() is None)

    terminal = subprocess.Popen([sys.executable, "-m", "dvc", "repro"], process_group=0)
    until(lambda: run_process.current() is not None)
    with pytest.raises(RunningError, match=r"dvc repro: .* in a terminal since"):
        run_process.start(command, "ada", settings)
    os.killpg(terminal.pid, signal.SIGKILL)
    terminal.wait()
    order(project, "second")
    until(lambda: run_process.current() is None)
    run = ended(run_process.start(command, "ada", settings))
    assert run.state == "succeeded"
    assert [stage.name for stage in run.stages] == ["second"]

    project.git("add", "--all")
    project.git("commit", "--quiet", "--no-verify", "--message=Reproduced")
    until(lambda: run_process.current() is None)
    order(project, "second", seconds=0.01)
    project.git("commit", "--quiet", "--all", "--no-verify", "--message=Other orders")
    run = ended(run_process.start(experiment("slower", {"train.seed": 7}), "ada", settings))
    assert run.state == "succeeded", log_tail.read(RUNS / run.id / "log").lines
    assert [stage.name for stage in run.stages] == ["second"]
    assert project.git("status", "--porcelain") == ""
    assert project.experiment("slower")
