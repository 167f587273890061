"""Train a challenger and decide about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Engine

from monitor.retraining import (
    challenger_folder,
    champion_move,
    contestant,
    decision,
    judgement,
    prepared_commits,
    progress_file,
    running_lock,
)
from monitor.retraining import retraining_conditions as conditions
from monitor.retraining.challenger_folder import Placement
from monitor.retraining.champion_move import Move, NotMovedError
from monitor.retraining.decision import Decision
from monitor.retraining.judgement import Match
from monitor.retraining.progress_file import Progress
from monitor.retraining.training_clone import TrainingClone
from monitor.retraining.transplant import Transplant
from monitor.settings import Settings
from monitor.store import records
from stages.common.errors import StageError, few
from stages.common.running import log
from stages.monitor_params import MonitorParams
from versions.repository import git


@dataclass(frozen=True)
class Proposal:
    """What is to be trained, and why.

    Attributes:
        reason: `drift`, `schedule` or `manual`.
        as_of: the newest session that the challenger may know; that of the checkout by default.
        changes: params by dotted key.
        revision: a commit or experiment with a challenger that is trained already.
        horizon: the one that a change must be better at.
        force: leave the conditions aside (a person's decision).
        by: who asked, where a person did.
    """

    reason: str
    as_of: date | None = None
    changes: Mapping[str, object] = field(default_factory=dict)
    revision: str | None = None
    horizon: str | None = None
    force: bool = False
    by: str | None = None


@dataclass(frozen=True)
class Run:
    """One run of the monitor that may change the champion.

    Attributes:
        settings, thresholds, engine: of the monitor.
        root: of the project.
        held: its lock.
    """

    settings: Settings
    thresholds: MonitorParams
    engine: Engine
    root: Path
    held: IO[str]

    def clone(self, name: str) -> TrainingClone:
        """The clone of a decision; it need not be there."""
        return TrainingClone(
            self.settings.folder.resolve() / "workspaces" / name, self.root, self.held
        )

    def former(self) -> list[Decision]:
        """Every decision so far."""
        with self.engine.connect() as connection:
            return decision.listed(connection)

    def record(self, made: Decision) -> Decision:
        """Keep a decision as a row alone."""
        with records.writing(self.engine, self.settings) as rows:
            decision.store(rows, made)
        return made


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
        running_lock.held(settings, f"retraining for {proposal.reason}") as held,
    ):
        this = Run(settings, thresholds, engine, root, held)
        recover(this)
        return _run(this, proposal, decision.new_id(settings, engine, proposal.reason))


def _run(this: Run, proposal: Proposal, name: str) -> Decision:
    champion = contestant.at("HEAD", this.root)
    day = proposal.as_of or champion.newest
    refusals = _refusals(this, proposal, champion, day)
    asked: dict[str, Any] = {"by": proposal.by, "changes": dict(proposal.changes)}
    asked["conditions"] = refusals
    if refusals and not proposal.force:
        made = Decision(
            name,
            this.settings.clock,
            proposal.reason,
            "refused",
            "; ".join(refusals),
            champion=champion.commit,
            document={"asked": asked},
        )
        return this.record(made)
    progress = progress_file.begin(
        this.settings,
        name,
        kind="retraining",
        reason=proposal.reason,
        champion=champion.commit,
        horizon=proposal.horizon,
        asked={"asked": asked | {"forced": proposal.force}},
        at=this.settings.clock.isoformat(),
    )
    clone = this.clone(name)
    try:
        if proposal.revision is None:
            clone.make(champion.commit)
            commit = clone.train(f"monitor-{name}", str(day), proposal.changes)
        else:
            commit = git.commit(proposal.revision, this.root)
        git.git("update-ref", _ref(name), commit, folder=this.root)
    except StageError as error:
        return failed(this, progress, str(error))
    progress.reached("trained", challenger=commit)
    return conclude(this, progress)


def _ref(name: str) -> str:
    return f"{champion_move.refs(name)}/challenger"


def _refusals(
    this: Run, proposal: Proposal, champion: contestant.Contestant, day: date
) -> list[str]:
    counts = [conditions.labels(this.engine, name, day) for name in champion.horizons]
    refusals = conditions.missing(this.thresholds, counts, this.former(), this.settings.clock)
    newest = max(champion.as_of(name) for name in champion.horizons)
    if proposal.revision is None and not proposal.changes and day <= newest:
        refusals.append(f"the champion was trained up to {newest}: no session is newer")
    return refusals


def failed(this: Run, progress: Progress, why: str) -> Decision:
    """Undo a retraining that did not come to a challenger."""
    known = progress.known
    made = Decision(
        progress.id,
        this.settings.clock,
        known["reason"],
        "failed",
        why,
        champion=known["champion"],
        document=known["asked"],
    )
    this.record(made)
    this.clone(progress.id).remove()
    progress.end()
    return made


def conclude(this: Run, progress: Progress) -> Decision:
    """Judge what was trained, and act on it; from the step `trained` on."""
    known = progress.known
    base = Decision(
        progress.id,
        this.settings.clock,
        known["reason"],
        "shadow",
        "",
        champion=known["champion"],
        challenger=known["challenger"],
        document=known["asked"],
    )
    try:
        made = judged(this, base, known["horizon"])
    except StageError as error:
        return failed(this, progress, str(error))
    progress.reached("judged", decision=made.content(), placed_by=made.id)
    return settle(this, progress)


def judged(this: Run, base: Decision, lead: str | None) -> Decision:
    """A decision about a challenger from what is known now."""
    champion = contestant.at(str(base.champion), this.root)
    challenger = contestant.at(str(base.challenger), this.root)
    match = judgement.match(champion, challenger, lead)
    today = contestant.at("HEAD", this.root).newest
    windows = judgement.windows(match, this.engine, today)
    params = this.thresholds.gates
    found = judgement.judge(match, windows, params, this.root)
    outcome, because = _outcome(this, match, found)
    document = {
        **base.document,
        **judgement.document(match, windows, this.settings),
        "thresholds": params.model_dump(mode="json"),
        **found.document(),
    }
    return Decision(
        base.id,
        base.created_at,
        base.reason,
        outcome,
        because,
        match.lane,
        champion.commit,
        challenger.commit,
        base.decided_by,
        document,
    )


def _outcome(this: Run, match: Match, found: judgement.Judgement) -> tuple[str, str]:
    if match.champion.md5s() == match.challenger.md5s():
        return "rejected", "the challenger is the champion, byte for byte"
    if found.answer == "fail":
        return "rejected", few(found.of("fail"), 8)
    if found.answer == "inconclusive":
        return "shadow", few(found.of("inconclusive"), 8)
    asked = sum(map(len, found.gates.values()))
    passed = f"lane {match.lane}: all {asked} gates passed"
    if this.thresholds.retraining.approval:
        return "approval", f"{passed}; `python -m monitor approve` promotes it"
    return "promoted", passed


def settle(this: Run, progress: Progress) -> Decision:
    """Act on a decision; from the step `judged` on."""
    made = decision.parse(progress.known["decision"])
    if made.outcome == "promoted":
        try:
            _prepare(this, progress, made)
            Move(this.settings, this.engine, this.root, progress).finish()
        except StageError as error:
            if progress.step not in ("judged", "prepared", "pushed"):
                raise
            return _not_promoted(this, progress, made, error)
    elif made.outcome == "rejected":
        _close(this, made)
    else:
        _wait(this, made)
    this.clone(progress.id).remove()
    progress.end()
    return made


def _not_promoted(this: Run, progress: Progress, made: Decision, error: StageError) -> Decision:
    """Let a challenger wait that passed every gate, and could not be promoted."""
    why = f"all gates passed, and it could not be promoted: {error}"
    former = progress.known.get("former")
    if former is not None and former["because"] == why:
        # Tried every few minutes, it would fill the history of git.
        this.clone(progress.id).remove()
        progress.end()
        return decision.parse(former)
    waiting = replace(made, outcome="shadow", because=why)
    progress.reached("judged", decision=waiting.content())
    return settle(this, progress)


def _prepare(this: Run, progress: Progress, made: Decision) -> None:
    clone = this.clone(made.id)
    begin = git.commit("HEAD", this.root)
    changed = git.changes(this.root)
    if changed:
        raise NotMovedError(
            f"the served checkout has changes: {few(changed)}; commit them or `git stash "
            "--include-untracked`, then `python -m monitor judge`"
        )
    champion = contestant.at(str(made.champion), this.root)
    now = contestant.at(begin, this.root)
    if now.md5s() != champion.md5s():
        raise NotMovedError("the champion is another one now; train a new challenger")
    clone.make(begin)
    base = git.git("merge-base", begin, str(made.challenger), folder=this.root)
    commits = prepared_commits.prepare(Transplant(clone, base, str(made.challenger), begin), made)
    trained = {name: contestant.trained(now, name).commit for name in now.horizons}
    released = prepared_commits.releases(clone, trained, commits.models)
    champion_move.hand_over(clone, made.id, commits.tip, released)
    progress.reached(
        "prepared",
        **champion_move.known(begin, commits.tip, released, made, made.id),
        kind="promotion",
    )


def _close(this: Run, made: Decision) -> None:
    """Take a challenger away, on record."""
    for horizon in contestant.at(str(made.challenger), this.root).horizons:
        challenger_folder.remove(this.settings, horizon, made.id)
    _keep(this, made, "rejected")


def _wait(this: Run, made: Decision) -> None:
    """Let a challenger go on where the server scores it."""
    params = this.thresholds.challenger
    challenger = contestant.at(str(made.challenger), this.root)
    for horizon in challenger.horizons:
        placement = Placement(
            commit=challenger.commit,
            model_md5=challenger.md5(horizon),
            card_md5=challenger.md5(horizon, "card.json"),
            version=None,
            mode=params.mode,
            share=params.share if params.mode == "canary" else 0.0,
            decision_id=made.id,
        )
        if challenger_folder.current(this.settings, horizon) != placement:
            challenger_folder.place(this.settings, challenger, horizon, placement)
    _keep(this, made, params.mode)


def _keep(this: Run, made: Decision, place: str) -> None:
    """The record of a decision that moves nothing: a commit of one file, and rows."""
    decision.commit(made, this.root)
    challenger = contestant.at(str(made.challenger), this.root)
    with records.writing(this.engine, this.settings) as rows:
        decision.store(rows, made)
        for horizon in challenger.horizons:
            model = {"commit": challenger.commit, "model_md5": challenger.md5(horizon)}
            decision.placed(rows, made, place, horizon, model)


def recover(this: Run) -> None:
    """Finish or undo the run that was stopped, if one was."""
    progress = progress_file.unfinished(this.settings)
    if progress is None:
        return
    log.warning("%s was stopped after the step %r", progress.id, progress.step)
    made = _ended(this, progress)
    if made is not None:
        log.warning("%s: %s; %s", made.id, made.outcome, made.because)


def _ended(this: Run, progress: Progress) -> Decision | None:
    if progress.step == "begun":
        if progress.known.get("kind") == "retraining":
            return failed(this, progress, "it was stopped while it trained")
        this.clone(progress.id).remove()
        progress.end()
        return None
    if progress.step == "trained":
        return conclude(this, progress)
    if progress.step == "judged":
        return settle(this, progress)
    return _finish(this, progress)


def _finish(this: Run, progress: Progress) -> Decision | None:
    made = decision.parse(progress.known["decision"])
    try:
        Move(this.settings, this.engine, this.root, progress).finish()
    except NotMovedError as error:
        if progress.known["kind"] == "promotion":
            return _not_promoted(this, progress, made, error)
        log.warning("%s: %s", progress.id, error)
        progress.end()
        return None
    finally:
        if not progress.path.exists():
            this.clone(progress.id).remove()
    return made
