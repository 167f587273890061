"""Act on a decision: promote, let wait, or take away."""

from dataclasses import replace

from monitor.retraining import (
    challenger_folder,
    champion_move,
    contestant,
    decisions,
    prepared_commits,
)
from monitor.retraining.challenger_folder import Placement
from monitor.retraining.champion_move import Move, NotMovedError
from monitor.retraining.decisions import Decision
from monitor.retraining.monitor_run import Run
from monitor.retraining.progress_file import Progress
from monitor.retraining.transplant import Transplant
from monitor.store import records
from stages.common.errors import StageError
from versions.repository import git


def settle(this: Run, progress: Progress) -> Decision:
    """Act on a decision; from the step `judged` on."""
    decision = decisions.parse(progress.known["decision"])
    if decision.outcome == "promoted":
        try:
            _prepare(this, progress, decision)
            Move(this.settings, this.engine, this.root, progress).finish()
        except StageError as error:
            if progress.step not in ("judged", "prepared", "pushed"):
                raise
            return not_promoted(this, progress, decision, error)
    elif decision.outcome == "rejected":
        _close(this, decision)
    else:
        _wait(this, decision)
    this.clone(progress.id).remove()
    progress.end()
    return decision


def not_promoted(this: Run, progress: Progress, decision: Decision, error: StageError) -> Decision:
    """Let a challenger wait that passed every gate but could not be promoted."""
    why = f"all gates passed, and it could not be promoted: {error}"
    former = progress.known.get("former")
    if former is not None and former["because"] == why:
        # Recorded at every try, it would fill the history of git.
        this.clone(progress.id).remove()
        progress.end()
        return decisions.parse(former)
    waiting = replace(decision, outcome="shadow", because=why)
    progress.reached("judged", decision=waiting.content())
    return settle(this, progress)


def _prepare(this: Run, progress: Progress, decision: Decision) -> None:
    clone = this.clone(decision.id)
    begin = git.commit("HEAD", this.root)
    champion_move.check_clean(this.root, "`python -m monitor judge`")
    champion = contestant.at(str(decision.champion), this.root)
    now = contestant.at(begin, this.root)
    if now.md5s() != champion.md5s():
        raise NotMovedError("the champion is another one now; train a new challenger")
    clone.make(begin)
    base = git.git("merge-base", begin, str(decision.challenger), folder=this.root)
    commits = prepared_commits.prepare(
        Transplant(clone, base, str(decision.challenger), begin), decision
    )
    trained = {name: contestant.trained(now, name).commit for name in now.horizons}
    released = prepared_commits.releases(clone, trained, commits.models)
    champion_move.hand_over(clone, decision.id, commits.tip, released)
    progress.reached(
        "prepared",
        **champion_move.known(begin, commits.tip, released, decision, decision.id),
        kind="promotion",
    )


def _close(this: Run, decision: Decision) -> None:
    """Remove a challenger, and record it."""
    for horizon in contestant.at(str(decision.challenger), this.root).horizons:
        challenger_folder.remove(this.settings, horizon, decision.id)
    _keep(this, decision, "rejected")


def _wait(this: Run, decision: Decision) -> None:
    """Let a challenger go on where the server scores it."""
    params = this.thresholds.challenger
    challenger = contestant.at(str(decision.challenger), this.root)
    for horizon in challenger.horizons:
        placement = Placement(
            commit=challenger.commit,
            model_md5=challenger.md5(horizon),
            card_md5=challenger.md5(horizon, "card.json"),
            version=None,
            mode=params.mode,
            share=params.share if params.mode == "canary" else 0.0,
            decision_id=decision.id,
        )
        if challenger_folder.current(this.settings, horizon) != placement:
            challenger_folder.place(this.settings, challenger, horizon, placement)
    _keep(this, decision, params.mode)


def _keep(this: Run, decision: Decision, place: str) -> None:
    """Record a decision that moves nothing: a commit of one file, and rows."""
    decisions.commit(decision, this.root)
    challenger = contestant.at(str(decision.challenger), this.root)
    with records.writing(this.engine, this.settings) as rows:
        decisions.store(rows, decision)
        for horizon in challenger.horizons:
            model = {"commit": challenger.commit, "model_md5": challenger.md5(horizon)}
            decisions.placed(rows, decision, place, horizon, model)
