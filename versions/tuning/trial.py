"""Trials as DVC experiments: run beside the workspace, found again by their names."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from stages.common.errors import VersionError, few
from stages.common.paths import METRICS
from versions.repository import git
from versions.values import compact

OBJECTIVE = "fold_oos_r2"
"""Of `metrics/<horizon>.json`: skill on folds that the weights had not seen, never the hold-out."""

FOLDER = Path("var/search")

TAKEN = b"Reproducing experiment"
"""What `dvc exp run` prints once it has taken its entry out of the stash."""

POLL = 0.1
"""Seconds between looks at what a trial has printed."""


def check_cache() -> None:
    """Check that the path of DVC's cache is ASCII, as DVC needs it for an experiment.

    Raises:
        VersionError: the path has other letters.
    """
    command = [sys.executable, "-m", "dvc", "cache", "dir"]
    path = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603  # no shell
    if not path.isascii():
        raise VersionError(
            f"{path}: DVC cannot run an experiment beside the workspace where the path of its "
            "cache has letters beyond ASCII; move .dvc/cache to a path without them and name it "
            "(`dvc cache dir --local /srv/dvc-cache`), or move the clone"
        )


@dataclass(frozen=True)
class Trial:
    """One set of params, and what it scored.

    Attributes:
        number: from 0.
        values: for `params.yaml`, by dotted key.
        value: of the objective; None unless the trial ended well.
        reason: why it failed, if this process saw it fail.
    """

    number: int
    values: Mapping[str, Any]
    value: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Experiments:
    """The experiments of one study: of one horizon, on one commit, drawn from one seed."""

    horizon: str
    head: str
    seed: int

    @property
    def study(self) -> str:
        """Its name, unique in this repository as far as seven digits of a commit are."""
        return f"{self.horizon}-{self.head[:7]}" + (f"-s{self.seed}" if self.seed else "")

    @property
    def journal(self) -> Path:
        """The file that Optuna reads and writes."""
        return FOLDER / f"{self.study}.journal"

    @property
    def logs(self) -> Path:
        """The folder of what each trial printed."""
        return FOLDER / self.study

    def name(self, number: int) -> str:
        """The name of a trial's experiment."""
        return f"search-{self.study}-{number:03d}"

    def check_workspace(self) -> None:
        """Check that the workspace is the commit of the study, without changes.

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

    def run(self, trials: Sequence[Trial], lock: IO[str]) -> list[Trial]:
        """Run trials at the same time, except those whose experiments exist.

        Ctrl-C ends them in order; a second one no longer waits for them.

        Args:
            lock: an open file whose lock lasts as long as the runs, should this process be killed.

        Returns:
            The trials, each with its value or the reason of its failure.

        Raises:
            VersionError: the workspace is not what the study began with.
        """
        new = [trial for trial in trials if not git.git("for-each-ref", self._ref(trial.number))]
        if new:
            self.check_workspace()
        processes: dict[int, subprocess.Popen[bytes]] = {}
        try:
            for trial in new:
                processes[trial.number] = process = self._start(trial, lock)
                # Runs share one stash of what is to be run: until a run has taken its own entry,
                # another could take it.
                while process.poll() is None and TAKEN not in self._log(trial.number).read_bytes():
                    time.sleep(POLL)
            for process in processes.values():
                process.wait()
        except BaseException:
            running = [process for process in processes.values() if process.poll() is None]
            for process in running:
                os.killpg(process.pid, signal.SIGINT)
            for process in running:
                process.wait()
            raise
        return [self._ended(trial, processes.get(trial.number)) for trial in trials]

    def _start(self, trial: Trial, lock: IO[str]) -> "subprocess.Popen[bytes]":
        params = (f"--set-param={key}={compact(value)}" for key, value in trial.values.items())
        command = ("exp", "run", "--temp", "--name", self.name(trial.number), *params)
        with self._log(trial.number).open("wb") as printed:
            # A group of its own, so that a Ctrl-C of the terminal reaches it once, from here.
            return subprocess.Popen(  # noqa: S603  # no shell
                [sys.executable, "-m", "dvc", *command],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[lock.fileno()],
            )

    def _log(self, number: int) -> Path:
        return self.logs / f"{number:03d}.log"

    def _ref(self, number: int) -> str:
        return f"refs/exps/{self.head[:2]}/{self.head[2:]}/{self.name(number)}"

    def _ended(self, trial: Trial, process: "subprocess.Popen[bytes] | None") -> Trial:
        try:
            return replace(trial, value=score(self._ref(trial.number), self.horizon))
        except VersionError as error:
            if process is None or not process.returncode:
                return replace(trial, reason=str(error))
        printed = self._log(trial.number).read_text(encoding="utf-8")
        return replace(trial, reason=reason(printed))


def score(revision: str, horizon: str) -> float:
    """The objective at a revision.

    Raises:
        VersionError: the revision has no such number.
    """
    path = METRICS / f"{horizon}.json"
    value = json.loads(git.content(revision, path) or "{}").get(OBJECTIVE)
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise VersionError(f"{path} of {revision}: {OBJECTIVE} is {value!r}, not a number")
    return float(value)


def reason(printed: str) -> str:
    """The line of a log that says why a run failed: a stage's own error, else the last of DVC's."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    for mark in ("error: ", "ERROR: "):
        marked = [line.removeprefix(mark) for line in lines if line.startswith(mark)]
        if marked:
            return marked[-1]
    return lines[-1] if lines else "dvc printed nothing"
