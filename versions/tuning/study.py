"""A study: trial after trial, each an experiment, until there are as many as were asked for."""

import fcntl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from stages.common.errors import StageError, VersionError, few
from stages.common.running import log
from versions.repository import git
from versions.tuning import space
from versions.tuning import trial as experiment
from versions.tuning.journal import Journal, Trial
from versions.tuning.trial import OBJECTIVE, Outcome

GIVE_UP = 3
"""Failures with which a search ends that has had nothing else."""

FOLDER = Path("var/search")


@dataclass(frozen=True)
class Study:
    """What belongs together: trials of one horizon, on one commit, drawn from one seed."""

    horizon: str
    head: str
    seed: int

    @property
    def name(self) -> str:
        """Unique in this repository, as far as seven digits of a commit are."""
        return f"{self.horizon}-{self.head[:7]}" + (f"-s{self.seed}" if self.seed else "")

    @property
    def journal(self) -> Path:
        """The file that Optuna reads and writes."""
        return FOLDER / f"{self.name}.journal"

    @property
    def logs(self) -> Path:
        """The folder of what each trial printed."""
        return FOLDER / self.name

    def experiment(self, number: int) -> str:
        """The name of a trial's experiment."""
        return f"search-{self.name}-{number:03d}"

    def attempt(self, number: int, values: Mapping[str, Any], lock: IO[str]) -> Outcome:
        """Run a trial, or find it where it has been run.

        Args:
            number: of the trial.
            values: to set in `params.yaml`.
            lock: an open file whose lock lasts as long as the run.

        Raises:
            VersionError: the workspace is not what the study began with.
        """
        name = self.experiment(number)
        there = experiment.outcome(name, self.head, self.horizon)
        if there is not None:
            return there
        self.check_workspace()
        printed = self.logs / f"{number:03d}.log"
        reason = experiment.run(name, space.overrides(values), printed, lock)
        if reason:
            return Outcome(None, reason)
        made = experiment.outcome(name, self.head, self.horizon)
        return made or Outcome(None, f"dvc made no experiment {name}; see {printed}")

    def check_workspace(self) -> None:
        """See that a trial is an experiment on the commit of the study, and on nothing else.

        Raises:
            VersionError: the workspace is on another commit, or has changes.
        """
        now = git.commit()
        if now != self.head:
            raise VersionError(
                f"the study belongs to commit {self.head[:7]}, and {now[:7]} is checked out; "
                f"`git checkout {self.head[:7]}` to go on, or start anew to search from here"
            )
        changed = git.git("diff", "--name-only", "HEAD").splitlines()
        if changed:
            raise VersionError(
                f"{few(changed)}: not committed, and a study belongs to a commit; `git commit` or "
                "`git stash` first"
            )


Attempt = Callable[[int, Mapping[str, Any]], Outcome]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Tried:
    """A trial that has come to an end, with the values that it set in params.yaml."""

    trial: Trial
    values: Mapping[str, Any]


def search(
    journal: Journal,
    entries: Mapping[str, space.Entry],
    trials: int,
    attempt: Attempt,
    say: Say,
) -> list[Tried]:
    """Bring a study to a number of trials.

    Args:
        journal: of the study, with the trials of former calls.
        entries: what may be tried.
        trials: in all.
        attempt: runs one, from its number and its values.
        say: takes one line for each trial.

    Raises:
        StageError: every trial failed; `GIVE_UP` of them are enough to say so.
    """
    done = [Tried(trial, space.values(entries, trial.drawn)) for trial in journal.finished()]
    before = len(done)
    while len(done) < trials:
        trial = journal.next()
        values = space.values(entries, trial.drawn)
        same = next((one for one in done if one.values == values), None)
        if same is None:
            found = attempt(trial.number, values)
        else:
            found = Outcome(same.trial.value, f"as trial {same.trial.number}: {same.trial.reason}")
        if found.value is None:
            journal.fail(trial, found.reason)
            say(f"trial {trial.number} failed: {found.reason}")
        else:
            journal.tell(trial, found.value)
            again = "" if same is None else f" (as trial {same.trial.number})"
            line = f"{OBJECTIVE} {found.value:+.5f}{again}: {experiment.show(values)}"
            say(f"trial {trial.number}: {line}")
        done.append(Tried(Trial(trial.number, trial.drawn, found.value, found.reason), values))
        if not best(done) and len(done) - before >= GIVE_UP:
            break
    if done and not best(done):
        raise StageError(
            f"search: all {len(done)} trials failed, the last with: {done[-1].trial.reason}; "
            "mend `search:` in params.yaml and commit it"
        )
    return done


def best(done: Sequence[Tried]) -> list[Tried]:
    """The trials that have a value, the best first; the earlier one of two alike."""
    scored = [one for one in done if one.trial.value is not None]
    return sorted(scored, key=lambda one: -(one.trial.value or 0.0))


@contextmanager
def locked(path: Path, refusal: str = "", waiting: str = "") -> Iterator[IO[str]]:
    """Hold a lock that ends with the last process that has the file open.

    Raises:
        VersionError: with `refusal`, if that is given and another process holds it.
    """
    with path.open("a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if refusal:
                raise VersionError(refusal) from None
            log.info(waiting)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file
