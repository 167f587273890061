"""Move the served checkout to prepared commits, and announce it, in steps that can be repeated.

Their order leaves one champion after any interruption. Until the checkout moves, nothing of a
promotion is visible but objects in the remote. It moves by one fast-forward. What comes after it
(data and models, tags, shadow, rows) follows from where the checkout is, and is done again by the
next run.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from monitor.alerts import alerting
from monitor.alerts.firing import Firing
from monitor.retraining import challenger_folder, contestant, decisions, training_clone
from monitor.retraining.challenger_folder import Placement
from monitor.retraining.decisions import Decision
from monitor.retraining.prepared_commits import PRODUCTION, Release
from monitor.retraining.progress_file import Progress
from monitor.retraining.training_clone import TrainingClone
from monitor.settings import MonitorError, Settings
from monitor.store import records
from stages.common.errors import VersionError, few
from stages.common.running import log
from versions.registry import history, promotion
from versions.repository import git
from versions.storage import remote_config, transfers


class NotMovedError(MonitorError):
    """The served checkout is as it was."""


def check_clean(root: Path, then: str) -> None:
    """See that all changes of the served checkout are committed; `then` is what to do afterwards.

    Raises:
        NotMovedError: some are not.
    """
    changed = git.changes(root)
    if changed:
        raise NotMovedError(
            f"the served checkout has changes: {few(changed)}; commit them or `git stash "
            f"--include-untracked`, then {then}"
        )


def refs(name: str) -> str:
    """Where the commits of a decision are in the project."""
    return f"refs/monitor/{name}"


def hand_over(clone: TrainingClone, name: str, tip: str, released: Sequence[Release]) -> None:
    """Give the project the commits and, out of sight, the tags that were made in a clone."""
    clone.hand_over(tip, f"{refs(name)}/champion")
    for release in released:
        tagged = clone.git("rev-parse", f"refs/tags/{release.tag}")
        clone.hand_over(tagged, f"{refs(name)}/tags/{release.tag}")


@dataclass(frozen=True)
class Move:
    """One move of the champion, as the journal knows it.

    Attributes:
        settings, engine, root: of the project.
        progress: its journal, from the step `prepared` on; it knows `begin` and `tip` (commits),
            `releases`, `decision`, and for a roll back `back`, the horizons.
    """

    settings: Settings
    engine: Engine
    root: Path
    progress: Progress

    def finish(self) -> None:
        """Do the remaining steps; the journal stays until the caller has cleaned up.

        Raises:
            NotMovedError: the checkout cannot be moved; nothing has changed.
            StageError: a later step failed; the next run does it again.
        """
        steps: Mapping[str, Callable[[], None]] = {
            "prepared": lambda: None,
            "pushed": self._push,
            "moved": self._move,
            "checked out": self._check_out,
            "tagged": self._tag,
            "placed": self._place,
            "announced": self._announce,
            "recorded": self._record,
        }
        names = list(steps)
        for name in names[names.index(self.progress.step) + 1 :]:
            steps[name]()
            self.progress.reached(name)

    @property
    def _known(self) -> Mapping[str, Any]:
        return self.progress.known

    @property
    def _releases(self) -> list[Release]:
        return [Release(**entry) for entry in self._known["releases"]]

    def _push(self) -> None:
        """Push every object to the remote, before anything changes."""
        for commit in dict.fromkeys(release.commit for release in self._releases):
            try:
                with remote_config.opened(self.root) as remote:
                    transfers.push(remote, revision=commit)
            except VersionError as error:
                raise NotMovedError(f"the remote must hold what is promoted: {error}") from None

    def _move(self) -> None:
        begin, tip = self._known["begin"], self._known["tip"]
        head = git.commit("HEAD", self.root)
        if head == tip or git.git("merge-base", head, tip, folder=self.root) == tip:
            return
        if head != begin:
            raise NotMovedError(
                f"the checkout is at {head[:7]}, and the promotion was prepared for {begin[:7]}; "
                "`python -m monitor judge` prepares it again"
            )
        check_clean(self.root, "`python -m monitor judge`")
        git.git(
            *("-c", "core.hooksPath=/dev/null", "merge", "--quiet", "--ff-only", tip),
            folder=self.root,
        )

    def _check_out(self) -> None:
        try:
            training_clone.check_out(self.root)
        except MonitorError as error:
            raise MonitorError(
                f"{error}; git has the new champion already: mend this, and any command that "
                "changes something finishes"
            ) from None

    def _tag(self) -> None:
        for release in self._releases:
            if release.version not in self._history(release.horizon).versions:
                prepared = f"{refs(self.progress.id)}/tags/{release.tag}"
                git.git("update-ref", f"refs/tags/{release.tag}", prepared, folder=self.root)
        for horizon in dict.fromkeys(release.horizon for release in self._releases):
            wanted = [each.version for each in self._releases if each.horizon == horizon]
            current = self._history(horizon).current(PRODUCTION)
            done = wanted.index(current) + 1 if current in wanted else 0
            for version in wanted[done:]:
                assigned = promotion.promote(horizon, version, PRODUCTION, self.root)
                log.info("%s %s is in production (%s)", horizon, version, assigned.tag)
        for horizon, version in self._known.get("back", {}).items():
            if self._history(horizon).current(PRODUCTION) == version:
                assigned = promotion.rollback(horizon, PRODUCTION, self.root)
                log.info("%s is back at %s (%s)", horizon, assigned.version, assigned.tag)

    def _history(self, horizon: str) -> history.History:
        return history.read(self.root).get(horizon, history.History())

    def _place(self) -> None:
        """After a promotion the former champion goes on in shadow; after a roll back nobody."""
        decision = decisions.parse(self._known["decision"])
        former = contestant.at(self._known["begin"], self.root)
        for horizon in former.horizons:
            if "back" in self._known or former.md5(horizon) == self._served().md5(horizon):
                challenger_folder.remove(self.settings, horizon, self._known["placed_by"])
                continue
            placement = Placement(
                commit=former.commit,
                model_md5=former.md5(horizon),
                card_md5=former.md5(horizon, "card.json"),
                version=self._history(horizon).former(PRODUCTION),
                mode="shadow",
                share=0.0,
                decision_id=decision.id,
            )
            challenger_folder.place(self.settings, former, horizon, placement)

    def _announce(self) -> None:
        """Tell people at least once: a run that is killed here may tell them twice."""
        decision = decisions.parse(self._known["decision"])
        back = "back" in self._known
        news = Firing(
            rule="rolled_back" if back else "promoted",
            tags={"decision": decision.id},
            severity="CRITICAL" if back else "INFO",
            message=f"{decision.because}; `python -m monitor explain {decision.id}`",
        )
        alerting.announce(self.engine, self.settings, news)

    def _served(self) -> contestant.Contestant:
        return contestant.at(self._known["tip"], self.root)

    def _record(self) -> None:
        decision = decisions.parse(self._known["decision"])
        former = contestant.at(self._known["begin"], self.root)
        back = "back" in self._known
        with records.writing(self.engine, self.settings) as rows:
            decisions.store(rows, decision)
            for horizon in former.horizons:
                versions = self._history(horizon)
                for place, each, version in (
                    ("production", self._served(), versions.current(PRODUCTION)),
                    ("rolled back" if back else "shadow", former, None),
                ):
                    model = {
                        "commit": each.commit,
                        "model_md5": each.md5(horizon),
                        "version": version,
                    }
                    decisions.placed(rows, decision, place, horizon, model)


def known(
    begin: str, tip: str, released: Sequence[Release], decision: Decision, placed_by: str
) -> dict[str, Any]:
    """What the journal must know from the step `prepared` on.

    Args:
        begin: where the served checkout is.
        tip: where it goes.
        released: versions that are put into production, in order.
        decision: which is in the journal from then on.
        placed_by: the decision whose challenger leaves its folder.
    """
    return {
        "begin": begin,
        "tip": tip,
        "releases": [asdict(release) for release in released],
        "decision": decision.content(),
        "placed_by": placed_by,
    }
