"""What to try next, and what came of it, in a journal that survives any end of the process.

What a trial proposes depends on the seed, its number and the trials before it alone: an interrupted
search goes on as if it had never stopped. The sampler is the tree-structured Parzen estimator
(Bergstra et al., 2011) over all params at once, after `STARTUP` trials at random.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from stages.common.errors import VersionError

STARTUP = 10
"""Trials that are drawn at random before the sampler has something to learn from."""

_STUDY = "search"
_REASON = "reason"


@dataclass(frozen=True)
class Trial:
    """One set of params, and what came of it.

    Attributes:
        number: from 0.
        drawn: what the sampler drew, by dotted key.
        value: of the objective, None unless it came to an end.
        reason: why it failed, empty unless it did.
    """

    number: int
    drawn: Mapping[str, Any]
    value: float | None = None
    reason: str = ""


class _HeldAlready(JournalFileSymlinkLock):
    """No lock: the search holds one of its own, which does not outlive a killed process."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


class Journal:
    """The trials of one study; one process at a time may have it open.

    Args:
        path: of the file, made where there is none.
        distributions: what is drawn, by dotted key.
        seed: of the sampler.

    Raises:
        VersionError: the file is no journal of this study.
    """

    def __init__(
        self, path: Path, distributions: Mapping[str, BaseDistribution], seed: int
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._distributions, self._seed = dict(distributions), seed
        path.parent.mkdir(parents=True, exist_ok=True)
        _cut_torn_line(path)
        try:
            self._storage = JournalStorage(JournalFileBackend(str(path), _HeldAlready(str(path))))
            self._study = self._open()
            spaces = [trial.distributions for trial in self._frozen()]
        except (ValueError, KeyError, TypeError, AssertionError) as error:
            raise VersionError(
                f"{path}: cannot be read as a journal of Optuna ({error}); remove it: "
                "experiments that are there are found again by their names"
            ) from None
        if any(space != self._distributions for space in spaces):
            raise VersionError(f"{path}: is of another space; remove it")

    def _open(self) -> int:
        try:
            return self._storage.get_study_id_from_name(_STUDY)
        except KeyError:
            return self._storage.create_new_study([StudyDirection.MAXIMIZE], _STUDY)

    def _frozen(self) -> list[FrozenTrial]:
        return self._storage.get_all_trials(self._study)

    def finished(self) -> list[Trial]:
        """The trials that came to an end, in order, good and failed."""
        return [_trial(trial) for trial in self._frozen() if trial.state.is_finished()]

    def next(self) -> Trial:
        """The trial that was begun and not finished, or a new one."""
        past = self._frozen()
        for trial in past:
            if not trial.state.is_finished():
                return _trial(trial)
        drawn = propose(past, self._distributions, self._seed)
        # One line in the file: a trial is there with all its params, or not at all.
        begun = create_trial(
            state=TrialState.RUNNING, params=drawn, distributions=self._distributions
        )
        self._storage.create_new_trial(self._study, begun)
        return Trial(len(past), drawn)

    def tell(self, trial: Trial, value: float) -> None:
        """Note the value of a trial."""
        self._end(trial, TrialState.COMPLETE, [value])

    def fail(self, trial: Trial, reason: str) -> None:
        """Note why a trial failed."""
        self._storage.set_trial_user_attr(self._id(trial), _REASON, reason)
        self._end(trial, TrialState.FAIL, None)

    def _end(self, trial: Trial, state: TrialState, values: Sequence[float] | None) -> None:
        self._storage.set_trial_state_values(self._id(trial), state, values)

    def _id(self, trial: Trial) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._study, trial.number)


def propose(
    past: Sequence[FrozenTrial], distributions: Mapping[str, BaseDistribution], seed: int
) -> dict[str, Any]:
    """Draw the params of the next trial from those before it."""
    own = int(np.random.SeedSequence([seed, len(past)]).generate_state(1)[0])
    sampler = optuna.samplers.TPESampler(seed=own, n_startup_trials=STARTUP, multivariate=True)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.add_trials(past)
    return study.ask(dict(distributions)).params


def _trial(frozen: FrozenTrial) -> Trial:
    reason = frozen.user_attrs.get(_REASON, "") if frozen.state == TrialState.FAIL else ""
    return Trial(frozen.number, frozen.params, frozen.value, str(reason))


def _cut_torn_line(path: Path) -> None:
    """Take off what a killed process wrote of a line that it did not end."""
    if not path.exists():
        return
    content = path.read_bytes()
    if not content.endswith(b"\n"):
        with path.open("rb+") as file:
            file.truncate(content.rfind(b"\n") + 1)
