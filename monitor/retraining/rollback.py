"""Give the former champion its place back when the promoted model is significantly worse."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from monitor.evidence import Evidence
from monitor.retraining import (
    champion_move,
    contestant,
    decisions,
    judgement,
    prepared_commits,
    progress_file,
    promoted_model,
    waiting,
)
from monitor.retraining.champion_move import Move
from monitor.retraining.contestant import Contestant
from monitor.retraining.decisions import Decision
from monitor.retraining.judgement import Pinned
from monitor.retraining.monitor_run import Run
from monitor.retraining.prepared_commits import PRODUCTION
from monitor.retraining.transplant import Transplant
from monitor.settings import MonitorError, Settings
from monitor.store import records
from stages.common.errors import few
from stages.monitor_params import MonitorParams
from versions.registry import history
from versions.registry import promotion as registry
from versions.repository import git


@dataclass(frozen=True)
class Watch:
    """A promoted model against the former champion's shadow.

    Attributes:
        promotion: the decision that promoted it; None without one.
        worse: by horizon, the evidence that it is worse on live rows.
        error: chance for each horizon that it is found worse though it is not.
        problem: why it is not rolled back although it may be worse; None if nothing is in the way.
        decision: of the roll back, if there was one.
    """

    promotion: str | None
    worse: Mapping[str, Evidence] = field(default_factory=dict)
    error: float = 0.05
    problem: str | None = None
    decision: Decision | None = None

    @property
    def significant(self) -> list[str]:
        """The horizons at which it is significantly worse."""
        return [name for name, each in self.worse.items() if each.convinces(self.error)]


def check(
    settings: Settings, thresholds: MonitorParams, today: date, root: Path | None = None
) -> Watch:
    """Compare, and roll back if the promoted model is significantly worse.

    Args:
        settings, thresholds: of the monitor.
        today: only targets up to this session count.
        root: of the project.

    Raises:
        MonitorError: another run is at work.
    """
    with waiting.running(settings, thresholds, "rollback --check", root) as this:
        promotion = promoted_model.last_promotion(this.former())
        if promotion is None:
            return Watch(None, problem="nothing that could be rolled back was promoted")
        rows = promoted_model.live_rows(this.engine, promotion, today)
        watch = _watch(this, promotion, rows)
        if not watch.significant:
            return watch
        last = max(
            (each.created_at for each in this.former() if each.outcome == "rolled back"),
            default=None,
        )
        cooling = timedelta(days=thresholds.rollback.cooldown_days)
        if last is not None and timedelta(0) <= settings.clock - last < cooling:
            problem = (
                f"the last roll back was at {last:%Y-%m-%d}, less than {cooling.days} days ago"
            )
            return replace(watch, problem=problem)
        reasons = [
            f"{name}: evidence {watch.worse[name].greatest:.3g} of {watch.worse[name].dates} dates "
            "that the former champion is better"
            for name in watch.significant
        ]
        decision = _decision(this, rows, watch, few(reasons))
        return replace(watch, decision=_back(this, promotion, decision))


def now(
    settings: Settings, thresholds: MonitorParams, by: str, root: Path | None = None
) -> Decision:
    """Roll the last promotion back because a person says so.

    Raises:
        MonitorError: another run is at work, or nothing was promoted.
    """
    with waiting.running(settings, thresholds, "rollback", root) as this:
        promotion = _standing(this.former(), this.root)
        today = contestant.at("HEAD", this.root).newest
        rows = promoted_model.live_rows(this.engine, promotion, today)
        watch = _watch(this, promotion, rows)
        decision = _decision(this, rows, watch, f"{by} asked for it", by)
        return _back(this, promotion, decision)


def plan(settings: Settings, root: Path) -> dict[str, Any]:
    """What `now` would do, after every check that is possible beforehand; it changes nothing.

    Returns:
        In values of JSON: `promotion`, the decision that is undone; `commit`, whose models come
        back; by horizon in `horizons` the md5 of the graph that is served and of the one that comes
        back (`now`, `then`), and `plan`, the new assignment of a version; None where the model in
        production is not the one that was promoted.

    Raises:
        StageError: the checkout, the tags or the remote are not as a roll back needs them.
    """
    with records.opened(settings, read_only=True) as engine, engine.connect() as connection:
        promotion = _standing(decisions.listed(connection), root)
    champion = contestant.at("HEAD", root)
    release = _release(champion, promotion)
    models = promotion.document["models"]
    assigned = {
        name: asdict(registry.plan_rollback(name, PRODUCTION, root))
        for name in champion.horizons
        if _version(root, name, release) is not None
    }
    return {
        "promotion": promotion.id,
        "commit": promotion.champion,
        "horizons": {
            name: {
                "now": files["model.onnx"],
                "then": models["champion"][name]["model.onnx"],
                "plan": assigned.get(name),
            }
            for name, files in models["challenger"].items()
        },
    }


def _watch(this: Run, promotion: Decision, rows: Mapping[str, pl.DataFrame]) -> Watch:
    worse = {
        name: promoted_model.worse(this.root, promotion, name, each) for name, each in rows.items()
    }
    return Watch(promotion.id, worse, this.thresholds.rollback.error / max(1, len(rows)))


def _standing(former: Sequence[Decision], root: Path) -> Decision:
    """The promotion that a person's roll back undoes.

    Raises:
        MonitorError: there is none, or the checkout is not as a roll back needs it.
    """
    promotion = promoted_model.last_promotion(former)
    if promotion is None:
        raise MonitorError(
            "nothing that could be rolled back was promoted by the monitor; `make rollback` "
            "goes back by tags"
        )
    _check_checkout(promotion, root)
    return promotion


def _check_checkout(promotion: Decision, root: Path) -> None:
    """See that the checkout is clean and has the promoted models.

    Raises:
        MonitorError: it does not.
    """
    champion_move.check_clean(root, "roll back again")
    promoted = promotion.document["models"]["challenger"]
    if contestant.at("HEAD", root).md5s() != {
        name: files["model.onnx"] for name, files in promoted.items()
    }:
        raise MonitorError(
            f"the checkout no longer has the models that {promotion.id} promoted; `make rollback` "
            "goes back by tags"
        )


def _decision(
    this: Run, rows: Mapping[str, pl.DataFrame], watch: Watch, because: str, by: str | None = None
) -> Decision:
    folder = judgement.windows_folder(this.settings)
    promotion = decisions.find(this.engine, str(watch.promotion), this.root)
    document: dict[str, Any] = {
        "promotion": promotion.id,
        "error": watch.error,
        "windows": {name: Pinned(each, 0, 0, None).document(folder) for name, each in rows.items()},
        "worse": {name: dict(vars(each)) for name, each in watch.worse.items()},
    }
    return Decision(
        id=decisions.new_id(this.settings, this.engine, "rollback"),
        created_at=this.settings.clock,
        reason="rollback",
        outcome="rolled back",
        because=because,
        champion=promotion.challenger,
        challenger=promotion.champion,
        decided_by=by,
        document=document,
    )


def _back(this: Run, promotion: Decision, decision: Decision) -> Decision:
    """Prepare the commit that carries the former champion back, and move."""
    _check_checkout(promotion, this.root)
    progress = progress_file.begin(this.settings, decision.id, kind="rollback")
    clone = this.clone(decision.id)
    begin = git.commit("HEAD", this.root)
    champion = contestant.at(begin, this.root)
    clone.make(begin)
    release = _release(champion, promotion)
    transplant = Transplant(clone, release, git.commit(f"{release}~1", this.root), begin)
    commits = prepared_commits.prepare(transplant, decision)
    champion_move.hand_over(clone, decision.id, commits.tip, [])
    back = {name: _version(this.root, name, release) for name in champion.horizons}
    progress.reached(
        "prepared",
        **champion_move.known(begin, commits.tip, [], decision, promotion.id),
        back={name: version for name, version in back.items() if version is not None},
    )
    Move(this.settings, this.engine, this.root, progress).finish()
    clone.remove()
    progress.end()
    return decision


def _release(champion: Contestant, promotion: Decision) -> str:
    """The commit in the line of the champion that brought the promoted models."""
    horizon = next(
        name
        for name, files in promotion.document["models"]["challenger"].items()
        if files["model.onnx"] != promotion.document["models"]["champion"][name]["model.onnx"]
    )
    return contestant.trained(champion, horizon).commit


def _version(root: Path, horizon: str, release: str) -> str | None:
    """The version of a commit, if it is in production."""
    record = history.read(root).get(horizon, history.History())
    current = record.current(PRODUCTION)
    tag = record.versions.get(current or "")
    return current if tag is not None and tag.commit == release else None
