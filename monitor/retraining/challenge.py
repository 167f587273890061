"""What becomes of a challenger that was trained, or of a training that failed."""

from dataclasses import replace

from monitor.retraining import contestant, judgement, settlement
from monitor.retraining.decisions import Decision
from monitor.retraining.judgement import Match
from monitor.retraining.monitor_run import Run
from monitor.retraining.progress_file import Progress
from stages.common.errors import StageError, few


def failed(this: Run, progress: Progress, why: str) -> Decision:
    """Undo a retraining that did not come to a challenger."""
    decision = _decision(this, progress, "failed", why)
    this.record(decision)
    this.clone(progress.id).remove()
    progress.end()
    return decision


def conclude(this: Run, progress: Progress) -> Decision:
    """Judge what was trained, and act on it; from the step `trained` on."""
    known = progress.known
    base = replace(_decision(this, progress, "shadow", ""), challenger=known["challenger"])
    try:
        decision = judged(this, base, known["horizon"])
    except StageError as error:
        return failed(this, progress, str(error))
    progress.reached("judged", decision=decision.content(), placed_by=decision.id)
    return settlement.settle(this, progress)


def _decision(this: Run, progress: Progress, outcome: str, because: str) -> Decision:
    """A decision about what the journal knows."""
    known = progress.known
    return Decision(
        progress.id,
        this.settings.clock,
        known["reason"],
        outcome,
        because,
        champion=known["champion"],
        document=known["asked"],
    )


def judged(this: Run, base: Decision, lead: str | None) -> Decision:
    """A decision about a challenger from what is known now."""
    champion = contestant.at(str(base.champion), this.root)
    challenger = contestant.at(str(base.challenger), this.root)
    match = judgement.match(champion, challenger, lead)
    today = contestant.at("HEAD", this.root).newest
    windows = judgement.windows(match, this.engine, today)
    params = this.thresholds.gates
    verdict = judgement.judge(match, windows, params, this.root)
    outcome, because = _outcome(this, match, verdict)
    document = {
        **base.document,
        **judgement.document(match, windows, this.settings),
        "thresholds": params.model_dump(mode="json"),
        **verdict.document(),
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


def _outcome(this: Run, match: Match, verdict: judgement.Judgement) -> tuple[str, str]:
    if match.champion.md5s() == match.challenger.md5s():
        return "rejected", "the challenger is the champion, byte for byte"
    if verdict.answer == "fail":
        return "rejected", few(verdict.of("fail"), 8)
    if verdict.answer == "inconclusive":
        return "shadow", few(verdict.of("inconclusive"), 8)
    count = sum(map(len, verdict.gates.values()))
    passed = f"lane {match.lane}: all {count} gates passed"
    if this.thresholds.retraining.approval:
        return "approval", f"{passed}; `python -m monitor approve` promotes it"
    return "promoted", passed
