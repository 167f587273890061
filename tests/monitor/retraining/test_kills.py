"""A run that is killed between any two steps leaves one champion, and the next one ends it."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest
from sqlalchemy import select

from monitor.retraining import decision, journal, progress_file, retrain, rollback
from monitor.retraining.decision import Decision
from monitor.retraining.progress_file import Progress
from monitor.store import records
from monitor.store.records import tags_text
from predictions.schema import model_metadata, monitoring_alerts
from tests.monitor.arena import EVENING, NEWER, NEWEST, STAGE_FILE, Arena, better, thresholds
from tests.narrow import wait_for
from tests.projects import ROOT
from versions.repository.workspace import digest

PROMOTION = (
    *("judged", "prepared", "pushed", "moved", "checked out", "tagged"),
    *("placed", "announced", "recorded"),
)
ROLL_BACK = PROMOTION[1:]

pytestmark = pytest.mark.slow

BOTH = (False, True) if os.environ.get("CI_FULL") == "1" else (False,)
"""Killed when a step is done and not yet noted, which is the harder case; `CI_FULL=1` adds killed
when it is noted."""


class Killed(BaseException):
    """Nothing catches it: after it comes what the operating system would do."""


class Killer:
    """Kills a run at a step, before the step is noted or after it."""

    def __init__(self, patch: pytest.MonkeyPatch, project: Arena) -> None:
        self.at: tuple[str, bool] | None = None
        self.project = project
        self.served: list[str] = []
        real = Progress.reached

        def reached(progress: Progress, step: str, **known: object) -> None:
            if self.at == (step, False):
                raise Killed
            real(progress, step, **known)
            if self.at == (step, True):
                raise Killed

        patch.setattr(Progress, "reached", reached)

    def everywhere(
        self, steps: Sequence[str], start: Callable[[], object], then: Callable[[], object]
    ) -> None:
        """Kill a run at each step, each time from where the last one came; then let it be."""
        action = start
        for step in steps:
            for noted in BOTH:
                self.kill(step, noted, action)
                action = then
        self.at = None
        action()

    def kill(self, step: str, noted: bool, action: Callable[[], object]) -> None:
        """Kill one run, and look at what it left."""
        self.at = (step, noted)
        with pytest.raises(Killed):
            action()
        self.at = None
        model = digest(self.project.folder / "models" / "short" / "model.onnx")
        self.served.append(model)
        if self.project.md5() != model:
            # Git has moved, the data not yet: a server goes on with what it has loaded.
            assert (step, noted) in {("moved", False), ("moved", True), ("checked out", False)}


def ended(project: Arena) -> list[Decision]:
    """Nothing is left of a run, and git, DVC and the checkout agree; returns the decisions."""
    assert not progress_file.journal(project.settings).exists()
    assert not list((project.folder / "var" / "monitor" / "workspaces").glob("*/"))
    assert project.git("status", "--porcelain") == ""
    assert project.md5() == digest(project.folder / "models" / "short" / "model.onnx")
    with records.opened(project.settings) as engine, engine.connect() as connection:
        return decision.listed(connection)


def test_promotion_and_roll_back_end_whatever_kills_them(
    ground: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, params = ground.md5(), thresholds()
    killer = Killer(monkeypatch, ground)

    def train() -> None:
        retrain.run(ground.settings, params, better(), ground.folder)

    def go_on() -> None:
        journal.recover(ground.settings, params, ground.folder)

    killer.kill("trained", False, train)
    go_on()
    (failed,) = ended(ground)
    assert (failed.outcome, failed.challenger) == ("failed", None)

    killer.kill("trained", True, train)
    killer.everywhere(PROMOTION, go_on, go_on)
    promoted = ended(ground)[-1]
    assert promoted.outcome == "promoted", promoted.because
    second = ground.md5()
    assert list(dict.fromkeys(killer.served)) == [first, second]
    placed = ground.placed()
    assert placed is not None
    assert placed["model_md5"] == first
    assert len(ground.production()) == 2
    with records.opened(ground.settings) as engine, engine.connect() as connection:
        places = connection.scalars(select(model_metadata.c.place)).all()
    assert places == ["production", "shadow"]

    later = ground.settings.model_copy(update={"now": ground.settings.clock + timedelta(days=9)})
    monkeypatch.setattr(type(ground), "settings", later)
    with records.opened(later) as engine:
        # What the promoted model says is far off, what the former one says is nearly right.
        ground.log(engine, second, since=NEWER, predicted=0.02)
        ground.log(engine, first, since=NEWER, role="shadow")
    killer.served.clear()

    def check() -> None:
        rollback.check(later, params, NEWEST, ground.folder)

    killer.everywhere(ROLL_BACK, check, check)
    back = ended(ground)[-1]
    assert back.outcome == "rolled back"
    with records.opened(later) as engine, engine.connect() as connection:
        columns = monitoring_alerts.c
        told = connection.execute(select(columns.rule, columns.severity, columns.tags))
        news = {tuple(row) for row in told}
    assert news == {
        ("promoted", "INFO", tags_text({"decision": promoted.id})),
        ("rolled_back", "CRITICAL", tags_text({"decision": back.id})),
    }
    assert list(dict.fromkeys(killer.served)) == [second, first]
    assert ground.placed() is None
    commits = ground.production()
    assert len(commits) == 3
    assert commits[2] == commits[0]
    # Once: what was champion before is not what the former one was compared with.
    assert rollback.check(later, params, NEWEST, ground.folder).decision is None


def test_a_killed_training_is_undone_by_the_next_command(
    ground: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a real kill -9 of the command, whose stage goes on for a while."""
    first, head = ground.md5(), ground.head
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("MONITOR_NOW", EVENING.isoformat())
    ground.set("name = sys.argv[1]", "import time; time.sleep(2); name = sys.argv[1]", STAGE_FILE)
    head = ground.commit("Take time")
    command = [sys.executable, "-m", "monitor"]
    training = subprocess.Popen(
        [*command, "retrain", "--force", "--as-of", str(NEWER)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    log = ground.folder / "var" / "monitor" / "workspaces"
    wait_for(lambda: any(b"Running stage" in path.read_bytes() for path in log.glob("*.log")))
    training.kill()
    training.wait()

    def second() -> str:
        return ground.run(*command, "judge", check=False)

    # What it had started still ends, and holds the lock.
    said = second()
    assert "retraining for manual has been running since 2012-12-31 22:00 UTC" in said
    assert f"pid {training.pid}" in said
    assert "was killed" in said
    wait_for(lambda: "was killed" not in second())
    (failed,) = ended(ground)
    assert (failed.outcome, failed.decided_by) == ("failed", None)
    assert (ground.md5(), ground.head) == (first, head)
    listed = ground.run(*command, "decisions")
    assert "it was stopped while it trained" in listed
