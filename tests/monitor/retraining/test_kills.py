"""A run that is killed between any two steps leaves one champion, and the next one ends it.

Each run is a process that ends by SIGKILL, and the next one is another process.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from monitor.retraining import decisions, progress_file, rollback
from monitor.retraining.decisions import Decision
from monitor.store import records
from predictions.schema import model_metadata, monitoring_alerts
from tests import forks
from tests.monitor.arena import EVENING, NEWER, NEWEST, STAGE_FILE, Arena
from tests.monitor.retraining import forked
from tests.monitor.retraining.forked import Commands, Kill
from tests.narrow import wait_for
from tests.projects import ROOT
from versions.repository.workspace import digest

MOVE = ("pushed", "moved", "checked out", "tagged", "placed", "announced", "recorded", "ended")
PROMOTION = ("judged", "prepared", *MOVE)
ROLL_BACK = ("begun", "prepared", *MOVE)

TRAIN = ("retrain", "--as-of", str(NEWER), "--force", "--set")
JUDGE = ("judge",)
CHECK = ("rollback", "--check")

LATER = EVENING + timedelta(days=9)

pytestmark = pytest.mark.slow

FULL = os.environ.get("CI_FULL") == "1"
"""Kill also when a step is noted; and let the next run go on to its end from every step, too."""


@pytest.fixture(scope="module")
def server() -> Iterator["subprocess.Popen[str]"]:
    """Commands are forked from it."""
    with forked.server(forks.folder() / "bin") as process:
        yield process


@pytest.fixture
def commands(server: "subprocess.Popen[str]", ground: Arena) -> Commands:
    """Runs commands of the monitor in the project."""
    return Commands(server, ground.folder)


class Killer:
    """Kills runs, and looks at what they leave."""

    def __init__(self, commands: Commands, project: Arena, now: str) -> None:
        self.commands = commands
        self.project = project
        self.now = now
        self.served: list[str] = []

    def everywhere(
        self,
        kills: Sequence[Kill],
        first: Sequence[str],
        then: Sequence[str],
        at_the_end: Callable[[Arena], None],
    ) -> None:
        """Kill a run at each step, each time from where the last one came; then let it be.

        Args:
            kills: in the order of the steps.
            first: the command that is killed first.
            then: the command that goes on.
            at_the_end: asserts what is then.
        """
        words = first
        for kill in kills:
            self.kill(kill, *words)
            words = then
            if FULL and not kill.noted:
                with restored(self.project.folder):
                    self.go_on(*then)
                    at_the_end(self.project)
        self.go_on(*then)
        at_the_end(self.project)

    def go_on(self, *words: str) -> str:
        """Run a command to its end; returns what it said."""
        status, output = self.commands.run(*words, now=self.now)
        assert status == 0, output
        return output

    def kill(self, kill: Kill, *words: str) -> None:
        """Kill one run; there is one champion, though the data may have to follow git."""
        status, output = self.commands.run(*words, now=self.now, kill=kill)
        assert status == -signal.SIGKILL, (kill, output)
        model = digest(self.project.folder / "models" / "short" / "model.onnx")
        self.served.append(model)
        if self.project.md5() != model:
            # A server goes on with what it has loaded.
            assert kill in {Kill("moved", False), Kill("moved", True), Kill("checked out", False)}


@pytest.fixture
def killer(commands: Commands, ground: Arena) -> Killer:
    """In the evening."""
    return Killer(commands, ground, EVENING.isoformat())


def kills(*steps: str) -> list[Kill]:
    """When a step is done and not yet noted, which is the harder case, or also when it is noted."""
    return [Kill(step, noted) for step in steps for noted in ((False, True) if FULL else (False,))]


class restored:  # noqa: N801  # a context
    """What is done in it to a folder is undone at its end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.copy = folder.with_name("kept")

    def __enter__(self) -> None:
        subprocess.run(["cp", "-a", str(self.folder), str(self.copy)], check=True)

    def __exit__(self, *_: object) -> None:
        # The folder itself is the working folder of the test.
        for path in self.folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        subprocess.run(["cp", "-a", f"{self.copy}/.", str(self.folder)], check=True)
        shutil.rmtree(self.copy)


def ended(project: Arena) -> list[Decision]:
    """Nothing is left of a run; git, DVC, tags and tables agree. Returns the decisions."""
    assert not progress_file.journal(project.settings).exists()
    assert not list((project.folder / "var" / "monitor" / "workspaces").glob("*/"))
    assert project.git("status", "--porcelain") == ""
    assert project.md5() == digest(project.folder / "models" / "short" / "model.onnx")
    with records.opened(project.settings) as engine, engine.connect() as connection:
        all_decisions = decisions.listed(connection)
        columns = model_metadata.c
        places = connection.execute(
            select(columns.decision_id, columns.place, columns.horizon, columns.model_md5)
        )
        assert max(Counter(map(tuple, places)).values(), default=1) == 1
    for each in all_decisions:
        if each.challenger is not None:
            stored = (project.folder / each.path).read_text(encoding="utf-8")
            assert stored == each.text()
            commits = project.git("log", "--format=%H", "--", str(each.path)).split()
            assert len(commits) == 1 + len(each.document.get("history", ()))
    if production := project.production():
        # The newest assignment is the model that is served.
        lock = project.git("show", f"{production[-1]}:dvc.lock")
        assert project.md5() in lock
    return all_decisions


def promoted(project: Arena) -> None:
    decision = ended(project)[-1]
    assert decision.outcome == "promoted", decision.because
    champion, challenger = (
        decision.document["models"][name]["short"]["model.onnx"]
        for name in ("champion", "challenger")
    )
    assert project.md5() == challenger
    placed = project.placed()
    assert placed is not None
    assert placed["model_md5"] == champion
    assert len(project.production()) == 2
    with records.opened(project.settings) as engine, engine.connect() as connection:
        rows = connection.scalars(
            select(model_metadata.c.place).where(model_metadata.c.decision_id == decision.id)
        )
        assert sorted(rows) == ["production", "shadow"]
        news = connection.execute(
            select(monitoring_alerts.c.rule, monitoring_alerts.c.severity)
        ).all()
    # A run that is killed while it tells people may tell them twice.
    assert {tuple(row) for row in news} == {("promoted", "INFO")}
    assert len(news) <= 2


def rolled_back(project: Arena) -> None:
    all_decisions = ended(project)
    assert [each.outcome for each in all_decisions[-2:]] == ["promoted", "rolled back"]
    first, _, third = project.production()
    assert third == first
    assert project.md5() == all_decisions[-2].document["models"]["champion"]["short"]["model.onnx"]
    assert project.placed() is None
    with records.opened(project.settings) as engine, engine.connect() as connection:
        news = connection.execute(
            select(monitoring_alerts.c.rule, monitoring_alerts.c.severity)
        ).all()
    assert {tuple(row) for row in news} == {("promoted", "INFO"), ("rolled_back", "CRITICAL")}


def test_promotion_and_roll_back_end_whatever_kills_them(killer: Killer, ground: Arena) -> None:
    first = ground.md5()
    train = (*TRAIN, "models.ridge.alpha=107")
    killer.kill(Kill("begun", False), *train)
    assert killer.go_on(*JUDGE) == "no challenger is in shadow\n"
    assert ended(ground) == []
    killer.kill(Kill("trained", False), *train)
    killer.go_on(*JUDGE)
    (failed,) = ended(ground)
    assert (failed.outcome, failed.challenger) == ("failed", None)

    killer.kill(Kill("trained", True), *train)
    killer.everywhere(kills(*PROMOTION), JUDGE, JUDGE, promoted)
    second = ground.md5()
    assert list(dict.fromkeys(killer.served)) == [first, second]

    ground.set(f"'{NEWER}'", f"'{NEWEST}'")
    ground.dvc("repro", "--quiet", "latest")
    ground.commit(f"Refresh to {NEWEST}")
    with records.opened(ground.settings) as engine:
        # What the promoted model says is far off, what the former one says is nearly right.
        ground.log(engine, second, since=NEWER, predicted=0.02)
        ground.log(engine, first, since=NEWER, role="shadow")
    killer.served.clear()
    planned = rollback.plan(ground.settings, ground.folder)
    assert planned["promotion"] == ended(ground)[-1].id
    assert planned["horizons"]["short"]["now"] == second
    assert planned["horizons"]["short"]["then"] == first
    killer.now = LATER.isoformat()
    killer.everywhere(kills(*ROLL_BACK), CHECK, CHECK, rolled_back)
    assert list(dict.fromkeys(killer.served)) == [second, first]
    # Once: what was champion before is not what the former one was compared with.
    assert "nothing that could be rolled back" in killer.go_on(*CHECK)


def test_a_challenger_waits_or_is_rejected_whatever_kills_it(killer: Killer, ground: Arena) -> None:
    ground.set("f1_gain: 0.02", "f1_gain: null")
    ground.commit("Whatever the signs are")

    def waits(project: Arena) -> None:
        (decision,) = ended(project)
        assert decision.outcome == "shadow", decision.because
        placed = project.placed()
        assert placed is not None
        assert placed["decision_id"] == decision.id

    def rejected(project: Arena) -> None:
        (decision,) = ended(project)
        assert (decision.outcome, decision.decided_by) == ("rejected", "Ada")
        assert project.placed() is None

    # As wrong on the other side.
    train = (*TRAIN, "models.ridge.alpha=126")
    killer.everywhere([Kill("trained", True), *kills("judged", "ended")], train, JUDGE, waits)
    (in_shadow,) = ended(ground)
    reject = ("reject", in_shadow.id, "--because", "not worth the disk")
    # Nobody knows of it: the next run undoes it.
    killer.kill(Kill("begun", True), *reject)
    killer.go_on(*JUDGE)
    waits(ground)
    killer.everywhere([Kill("judged", True), *kills("ended")], reject, JUDGE, rejected)
    assert set(killer.served) == {ground.md5()}


def test_a_killed_training_is_undone_by_the_next_command(
    commands: Commands, ground: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill -9 of the command alone: its stage goes on for a while."""
    first = ground.md5()
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("MONITOR_NOW", EVENING.isoformat())
    ground.set("name = sys.argv[1]", "import time; time.sleep(2); name = sys.argv[1]", STAGE_FILE)
    head = ground.commit("Take time")
    training = subprocess.Popen(
        [sys.executable, "-m", "monitor", "retrain", "--force", "--as-of", str(NEWER)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    log = ground.folder / "var" / "monitor" / "workspaces"
    wait_for(lambda: any(b"Running stage" in path.read_bytes() for path in log.glob("*.log")))
    training.kill()
    training.wait()

    def second() -> str:
        return commands.run("judge", now=EVENING.isoformat())[1]

    # What it had started still ends, and holds the lock.
    output = second()
    assert "retraining for manual has been running since 2012-12-31 22:00 UTC" in output
    assert f"pid {training.pid}" in output
    assert "was killed" in output
    wait_for(lambda: "was killed" not in second())
    (failed,) = ended(ground)
    assert (failed.outcome, failed.decided_by) == ("failed", None)
    assert (ground.md5(), ground.head) == (first, head)
    _, listed = commands.run("decisions", now=EVENING.isoformat())
    assert "it was stopped while it trained" in listed
