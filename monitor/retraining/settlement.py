"""Act on a decision: promote, let wait, or take away."""

from dataclasses import replace

from monitor.retraining import (
    challenger_folder,
    champion_move,
    contestant,
    decision,
    prepared_commits,
)
from monitor.retraining.challenger_folder import Placement
from monitor.retraining.champion_move import Move, NotMovedError
from monitor.retraining.decision import Decision
from monitor.retraining.monitor_run import Run
from monitor.retraining.progress_file import Progress
from monitor.retraining.transplant import Transplant
from monitor.store import records
from stages.common.errors import StageError, few
from versions.repository import git


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
            return not_promoted(this, progress, made, error)
    elif made.outcome == "rejected":
        _close(this, made)
    else:
        _wait(this, made)
    this.clone(progress.id).remove()
    progress.end()
    return made


def not_promoted(this: Run, progress: Progress, made: Decision, error: StageError) -> Decision:
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
