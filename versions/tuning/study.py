"""A study: which params to try next, and what each trial scored, in a journal of Optuna.

What a trial proposes depends on the seed, its number and the trials before its round alone, so an
interrupted search goes on as if it had never stopped. A round is as many trials as run at the same
time. The sampler is the tree-structured Parzen estimator (Bergstra et al., 2011) over all params at
once, after `STARTUP` trials at random.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

from versions.tuning import space
from versions.tuning.trial import OBJECTIVE, Trial
from versions.values import compact

STARTUP = 10
"""Trials that are drawn at random before the sampler has something to learn from."""

GIVE_UP = 3
"""A search ends after so many failures if no trial has a value."""

Run = Callable[[Sequence[Trial]], Sequence[Trial]]
"""Runs some trials at the same time; returns each with its value, or the reason why it failed."""


class Study:
    """The trials of one study; one process at a time may have it open.

    Args:
        journal: its file, made where there is none.
        entries: what may be tried.
        seed: of the sampler.
    """

    def __init__(self, journal: Path, entries: space.Space, seed: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space, self._seed = dict(entries), seed
        journal.parent.mkdir(parents=True, exist_ok=True)
        self._study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(journal))),
            study_name="search",
            direction="maximize",
            load_if_exists=True,
        )

    def finished(self) -> list[Trial]:
        """The trials that have ended, in order, good and failed."""
        return [self._trial(trial) for trial in self._study.trials if trial.state.is_finished()]

    def next(self, trials: int, jobs: int = 1) -> list[Trial]:
        """The trials that began and have not ended, or else a new round.

        Args:
            trials: of the study in all.
            jobs: trials of a round; rounds begin at its multiples, wherever a search stopped.
        """
        known = self._study.trials
        unfinished = [trial for trial in known if not trial.state.is_finished()]
        if not unfinished:
            end = min((len(known) // jobs + 1) * jobs, trials)
            unfinished = [self._begin(number) for number in range(len(known), end)]
        return [self._trial(trial) for trial in unfinished]

    def _begin(self, number: int) -> FrozenTrial:
        seed = int(np.random.SeedSequence([self._seed, number]).generate_state(1)[0])
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP, multivariate=True)
        scratch = optuna.create_study(direction="maximize", sampler=sampler)
        scratch.add_trials(self._study.trials)
        drawn = scratch.ask(self._space).params
        # `ask` of the study itself would write a line for each param: a process that is killed
        # between them leaves a trial without some.
        self._study.add_trial(
            create_trial(state=TrialState.RUNNING, params=drawn, distributions=self._space)
        )
        return self._study.trials[number]

    def end(self, trial: Trial) -> None:
        """Note the value of a trial, or that it failed."""
        state = TrialState.FAIL if trial.value is None else TrialState.COMPLETE
        self._study.tell(trial.number, trial.value, state=state)

    def _trial(self, frozen: FrozenTrial) -> Trial:
        return Trial(frozen.number, space.values(self._space, frozen.params), frozen.value)


def search(
    study: Study, trials: int, run: Run, say: Callable[[str], None], jobs: int = 1
) -> list[Trial]:
    """Bring a study to a number of trials, or to `GIVE_UP` that failed if none has a value.

    Args:
        study: with the trials of former calls.
        trials: in all.
        run: runs those of a round whose values are new.
        say: takes one line for each trial.
        jobs: trials that run at the same time.
    """
    done = study.finished()
    before = len(done)
    by_values = {compact(trial.values): trial for trial in reversed(done)}
    while len(done) < trials and (best(done) or len(done) - before < GIVE_UP):
        begun = study.next(trials, jobs)
        new: dict[str, Trial] = {}
        for trial in begun:
            if (key := compact(trial.values)) not in by_values:
                new.setdefault(key, trial)
        by_values |= zip(new, run(list(new.values())), strict=True)
        for trial in begun:
            same = by_values[compact(trial.values)]
            ended = replace(same, number=trial.number)
            study.end(ended)
            say(_line(ended, same))
            done.append(ended)
    return done


def _line(trial: Trial, same: Trial) -> str:
    again = "" if same.number == trial.number else f" (as trial {same.number})"
    if trial.value is None:
        return f"trial {trial.number} failed{again}: {trial.reason}"
    params = ", ".join(f"{key} {compact(value)}" for key, value in trial.values.items())
    return f"trial {trial.number}: {OBJECTIVE} {trial.value:+.5f}{again}: {params}"


def best(trials: Sequence[Trial]) -> list[Trial]:
    """The trials that have a value, the best first; the earlier one of two alike."""
    scored = [trial for trial in trials if trial.value is not None]
    return sorted(scored, key=lambda trial: -(trial.value or 0.0))
