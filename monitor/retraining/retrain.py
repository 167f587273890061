"""Train a challenger and decide about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from monitor.retraining import (
    challenge,
    champion_move,
    contestant,
    decisions,
    progress_file,
    recovery,
    running_lock,
)
from monitor.retraining import retraining_conditions as conditions
from monitor.retraining.decisions import Decision
from monitor.retraining.monitor_run import Run
from monitor.settings import MonitorError, Settings
from monitor.store import records
from stages.common.errors import StageError
from stages.monitor_params import MonitorParams
from versions.repository import git
from versions.repository.commits import EXPERIMENTS


@dataclass(frozen=True)
class Proposal:
    """What is to be trained, and why.

    Attributes:
        reason: `drift`, `schedule` or `manual`.
        as_of: the newest session that the challenger may know; that of the checkout by default.
        changes: params by dotted key.
        revision: a commit or experiment with a challenger that is trained already.
        horizon: the one that a change must be better at.
        force: ignore the conditions (a person's decision).
        by: who asked, where a person did.
    """

    reason: str
    as_of: date | None = None
    changes: Mapping[str, object] = field(default_factory=dict)
    revision: str | None = None
    horizon: str | None = None
    force: bool = False
    by: str | None = None


def run(
    settings: Settings, thresholds: MonitorParams, proposal: Proposal, root: Path | None = None
) -> Decision:
    """Train a challenger if the conditions hold, judge it, and act on the answer.

    Args:
        settings, thresholds: of the monitor.
        proposal: what, and why.
        root: of the project; the working folder by default.

    Raises:
        MonitorError: another run is at work.
    """
    root = (root or Path()).resolve()
    with (
        records.opened(settings) as engine,
        running_lock.hold(settings, f"retraining for {proposal.reason}") as lock,
    ):
        this = Run(settings, thresholds, engine, root, lock)
        recovery.recover(this)
        return _run(this, proposal, decisions.new_id(settings, engine, proposal.reason))


def _run(this: Run, proposal: Proposal, name: str) -> Decision:
    champion = contestant.at("HEAD", this.root)
    day = proposal.as_of or champion.newest
    refusals = _refusals(this, proposal, champion, day)
    request: dict[str, Any] = {
        "by": proposal.by,
        "changes": dict(proposal.changes),
        "conditions": refusals,
    }
    if refusals and not proposal.force:
        decision = Decision(
            name,
            this.settings.clock,
            proposal.reason,
            "refused",
            "; ".join(refusals),
            champion=champion.commit,
            document={"asked": request},
        )
        return this.record(decision)
    progress = progress_file.begin(
        this.settings,
        name,
        kind="retraining",
        reason=proposal.reason,
        champion=champion.commit,
        horizon=proposal.horizon,
        asked={"asked": request | {"forced": proposal.force}},
        at=this.settings.clock.isoformat(),
    )
    clone = this.clone(name)
    try:
        if proposal.revision is None:
            clone.make(champion.commit)
            commit = clone.train(f"monitor-{name}", str(day), proposal.changes)
        else:
            commit = _trained(proposal.revision, this.root)
        ref = f"{champion_move.refs(name)}/challenger"
        git.git("update-ref", ref, commit, folder=this.root)
    except StageError as error:
        return challenge.failed(this, progress, str(error))
    progress.reached("trained", challenger=commit)
    return challenge.conclude(this, progress)


def _trained(revision: str, root: Path) -> str:
    """The commit of a revision, or of the experiment of that name."""
    named = git.git(
        "for-each-ref", "--format=%(objectname)", f"{EXPERIMENTS}*/*/{revision}", folder=root
    ).split()
    if len(named) > 1:
        raise MonitorError(
            f"{len(named)} experiments are named {revision}; name the commit of one: "
            "`dvc exp list --all --sha`"
        )
    return named[0] if named else git.commit(revision, root)


def _refusals(
    this: Run, proposal: Proposal, champion: contestant.Contestant, day: date
) -> list[str]:
    counts = [conditions.labels(this.engine, name, day) for name in champion.horizons]
    refusals = conditions.missing(this.thresholds, counts, this.former(), this.settings.clock)
    newest = max(champion.as_of(name) for name in champion.horizons)
    if proposal.revision is None and not proposal.changes and day <= newest:
        refusals.append(f"the champion was trained up to {newest}: no session is newer")
    return refusals
