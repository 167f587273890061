"""One trial as a DVC experiment: run beside the workspace, found again by its name."""

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from stages.common.errors import VersionError
from stages.common.paths import METRICS
from versions.repository import git
from versions.tuning import space

OBJECTIVE = "fold_oos_r2"
"""Of `metrics/<horizon>.json`: skill on folds that the weights had not seen, never the hold-out."""


@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    Attributes:
        value: of the objective; None where the run failed.
        reason: the line that says why it failed.
    """

    value: float | None
    reason: str = ""


def revision(name: str, head: str) -> str | None:
    """The commit of the experiment that has this name and stands on the commit `head`, if any."""
    ref = f"refs/exps/{head[:2]}/{head[2:]}/{name}"
    return git.git("for-each-ref", "--format=%(objectname)", ref) or None


def score(at: str, horizon: str) -> float:
    """The objective at a commit.

    Raises:
        VersionError: the commit has none, or it is no number.
    """
    path = METRICS / f"{horizon}.json"
    try:
        value = json.loads(git.content(at, path) or "{}").get(OBJECTIVE)
    except ValueError:
        value = None
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise VersionError(f"{path} of {at[:7]}: {OBJECTIVE} is {value!r}, no number")
    return float(value)


def outcome(name: str, head: str, horizon: str) -> Outcome | None:
    """What an experiment that is there came to; None where it is not there."""
    at = revision(name, head)
    if at is None:
        return None
    try:
        return Outcome(score(at, horizon))
    except VersionError as error:
        return Outcome(None, str(error))


def run(name: str, overrides: Sequence[str], log: Path, lock: IO[str]) -> str:
    """Run `dvc exp run` in a folder of its own; Ctrl-C ends it in order, a second one at once.

    Args:
        name: of the experiment.
        overrides: arguments that set its params.
        log: where all that it prints goes.
        lock: an open file whose lock lasts as long as the run, should this process be killed.

    Returns:
        The line that says why it failed; empty where it did not.
    """
    command = [
        *(sys.executable, "-m", "dvc", "exp", "run", "--temp", "--name", name),
        *overrides,
    ]
    with log.open("wb") as printed:
        # A group of its own, so that a Ctrl-C of the terminal reaches it once, from here.
        process = subprocess.Popen(  # noqa: S603  # no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=[lock.fileno()],
        )
        try:
            process.wait()
        except BaseException:
            _end(process)
            raise
    return "" if process.returncode == 0 else reason(log.read_text(encoding="utf-8"))


def _end(process: "subprocess.Popen[bytes]") -> None:
    try:
        os.killpg(process.pid, signal.SIGINT)
        process.wait()
    except KeyboardInterrupt:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    except ProcessLookupError:
        pass


def reason(printed: str) -> str:
    """The line of a log that says why a run failed: a stage's own error, else the last of DVC's."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    for mark in ("error: ", "ERROR: "):
        found = [line.removeprefix(mark) for line in lines if line.startswith(mark)]
        if found:
            return found[-1]
    return lines[-1] if lines else "dvc exp run said nothing"


def show(values: Mapping[str, Any]) -> str:
    """The params of a trial in one line."""
    return ", ".join(f"{key} {space.text(value)}" for key, value in values.items())
