"""Finish or undo the run that was stopped: before a run does anything of its own."""

from monitor.retraining import challenge, decisions, progress_file, settlement
from monitor.retraining.champion_move import Move, NotMovedError
from monitor.retraining.decisions import Decision
from monitor.retraining.monitor_run import Run
from monitor.retraining.progress_file import Progress
from stages.common.running import log


def recover(this: Run) -> None:
    """Finish or undo the run that was stopped, if one was."""
    progress = progress_file.unfinished(this.settings)
    if progress is None:
        return
    log.warning("%s was stopped after the step %r", progress.id, progress.step)
    decision = _ended(this, progress)
    if decision is not None:
        log.warning("%s: %s; %s", decision.id, decision.outcome, decision.because)


def _ended(this: Run, progress: Progress) -> Decision | None:
    if progress.step == "begun":
        if progress.known.get("kind") == "retraining":
            return challenge.failed(this, progress, "it was stopped while it trained")
        this.clone(progress.id).remove()
        progress.end()
        return None
    if progress.step == "trained":
        return challenge.conclude(this, progress)
    if progress.step == "judged":
        return settlement.settle(this, progress)
    return _finish(this, progress)


def _finish(this: Run, progress: Progress) -> Decision | None:
    decision = decisions.parse(progress.known["decision"])
    moved = True
    try:
        Move(this.settings, this.engine, this.root, progress).finish()
    except NotMovedError as error:
        if progress.known["kind"] == "promotion":
            return settlement.not_promoted(this, progress, decision, error)
        log.warning("%s: %s", progress.id, error)
        moved = False
    this.clone(progress.id).remove()
    progress.end()
    return decision if moved else None
