"""Decide on a challenger that waits: by new labels, or by a person's word."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from monitor.retraining import (
    challenge,
    challenger_folder,
    contestant,
    decisions,
    progress_file,
    recovery,
    running_lock,
    settlement,
)
from monitor.retraining.decisions import OPEN, Decision
from monitor.retraining.monitor_run import Run
from monitor.settings import MonitorError, Settings
from monitor.store import records
from stages.monitor_params import MonitorParams


@dataclass(frozen=True)
class Rejection:
    """Who rejects a challenger, and why."""

    by: str
    because: str


@contextmanager
def running(
    settings: Settings, thresholds: MonitorParams, work: str, root: Path | None = None
) -> Iterator[Run]:
    """Hold the lock, and finish or undo what was stopped before.

    Raises:
        MonitorError: another run is at work.
    """
    with records.opened(settings) as engine, running_lock.hold(settings, work) as lock:
        this = Run(settings, thresholds, engine, (root or Path()).resolve(), lock)
        recovery.recover(this)
        yield this


def judge(
    settings: Settings, thresholds: MonitorParams, name: str | None = None, root: Path | None = None
) -> list[Decision]:
    """Judge the challengers in shadow again, with what is known now.

    A challenger whose answer is still `inconclusive` goes on, and nothing is written.

    Args:
        settings, thresholds: of the monitor.
        name: of one decision; by default all that wait in shadow.
        root: of the project.

    Returns:
        The decisions as they are now.

    Raises:
        MonitorError: another run is at work, or this decision does not wait.
    """
    with running(settings, thresholds, "judge", root) as this:
        return [_again(this, decision) for decision in _waiting(this, name, ("shadow",))]


def _again(this: Run, decision: Decision) -> Decision:
    gone = _gone(this, decision)
    if gone is not None:
        return _settled(this, decision.turned("rejected", gone, this.settings.clock))
    judged = challenge.judged(this, decision, decision.document.get("lead"))
    if judged.outcome == "shadow":
        return decision
    turned = decision.turned(judged.outcome, judged.because, this.settings.clock)
    document = {**judged.document, "history": turned.document["history"]}
    return _settled(this, replace(turned, document=document), former=decision)


def _gone(this: Run, decision: Decision) -> str | None:
    """Why a challenger has nobody to challenge any more, or is itself replaced."""
    models = decision.document["models"]
    served = contestant.at("HEAD", this.root).md5s()
    if served != {name: files["model.onnx"] for name, files in models["champion"].items()}:
        return "the champion is another one than it was compared with"
    placed = [challenger_folder.current(this.settings, name) for name in models["challenger"]]
    if all(each is not None and each.decision_id != decision.id for each in placed):
        return "a later challenger took its place"
    return None


def approve(
    settings: Settings, thresholds: MonitorParams, name: str, by: str, root: Path | None = None
) -> Decision:
    """Promote a challenger that passed every gate and waits for a person.

    Raises:
        MonitorError: another run is at work, or this decision does not wait for approval.
    """
    with running(settings, thresholds, f"approve {name}", root) as this:
        (decision,) = _waiting(this, name, ("approval",))
        return _settled(
            this, decision.turned("promoted", f"{by} approved it", this.settings.clock, by)
        )


def reject(
    settings: Settings,
    thresholds: MonitorParams,
    name: str,
    rejection: Rejection,
    root: Path | None = None,
) -> Decision:
    """Reject a challenger that waits.

    Raises:
        MonitorError: another run is at work, or this decision does not wait.
    """
    with running(settings, thresholds, f"reject {name}", root) as this:
        (decision,) = _waiting(this, name, OPEN)
        return _settled(
            this,
            decision.turned(
                "rejected",
                f"{rejection.by}: {rejection.because}",
                this.settings.clock,
                rejection.by,
            ),
        )


def _waiting(this: Run, name: str | None, outcomes: Sequence[str]) -> list[Decision]:
    if name is None:
        return [decision for decision in this.former() if decision.outcome in outcomes]
    decision = decisions.find(this.engine, name, this.root)
    if decision.outcome not in outcomes:
        raise MonitorError(
            f"{name} is {decision.outcome}, and only what is in {' or '.join(outcomes)} can be "
            "decided"
        )
    return [decision]


def _settled(this: Run, decision: Decision, former: Decision | None = None) -> Decision:
    progress = progress_file.begin(this.settings, decision.id, kind="waiting")
    known = {} if former is None else {"former": former.content()}
    progress.reached("judged", decision=decision.content(), placed_by=decision.id, **known)
    return settlement.settle(this, progress)
