"""The state of every stage: what `dvc status` says of it, and how long it took when it last ran."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from dashboard.control import command_process, run_commands, stage_graph
from monitor.settings import Settings
from stages.common.errors import StageError, few
from versions.repository.lock import Lock
from versions.runs.run_record import Run, StageRun
from versions.tuning.trial import reason

State = Literal["up to date", "changed", "waits", "running", "ran", "failed", "unknown"]
"""`waits`: an earlier stage has changed, and only its run shows whether this one must run."""

ORDER: tuple[State, ...] = (
    *("running", "failed", "changed", "waits", "unknown", "ran", "up to date"),
)
"""A group of stages has the first of these states that one of its stages has."""

Changes = Mapping[str, Sequence[Any]]
"""What `dvc status --json` says: for each stage that must run, what has changed."""


class StatusError(StageError):
    """DVC does not say what has changed."""


@dataclass(frozen=True)
class StageState:
    """One stage.

    Attributes:
        name: as in `dvc.lock`, such as `train@short-ridge`.
        state: see `State`.
        why: what has changed, or the error; empty otherwise.
        last: its last run on record that succeeded.
    """

    name: str
    state: State
    why: str
    last: StageRun | None

    @property
    def family(self) -> str:
        """The name in `dvc.yaml`."""
        return self.name.partition("@")[0]


def changes(viewer_name: str, settings: Settings) -> Changes:
    """Ask DVC, in a process of its own; takes a second or more.

    Args:
        viewer_name: who asks.
        settings: of the monitor, whose audit trail notes it.

    Raises:
        StatusError: DVC fails.
        MonitorError, NoAnswerError: it cannot be asked.
    """
    done = command_process.answer(run_commands.status(), viewer_name, settings)
    if done.returncode:
        raise StatusError(f"dvc status: {reason(done.stderr)}")
    try:
        changed: Changes = json.loads(done.stdout)
    except ValueError:
        raise StatusError("dvc status: the answer is not JSON") from None
    return changed


def why(entries: Iterable[Any]) -> str:
    """What has changed of a stage, in a line: `features.sma modified, data/raw deleted`."""
    return few(dict.fromkeys(_reasons(entries)), 4)


def _reasons(entries: Iterable[Any]) -> Iterator[str]:
    for entry in entries:
        if isinstance(entry, str):
            yield entry
            continue
        for what in entry.values():
            for path, change in what.items():
                if isinstance(change, Mapping):
                    yield from (f"{key} {each}" for key, each in change.items())
                else:
                    yield f"{path} {change}"


def states(
    names: Sequence[str], changed: Changes | None, lock: Lock, runs: Sequence[Run]
) -> list[StageState]:
    """The state of each stage, in the order of the names.

    Args:
        names: of all stages.
        changed: see `changes`; None where that is not known, as while the pipeline runs.
        lock: of the checkout, which says who reads what.
        runs: on record, newest first.
    """
    written = {
        out.path for name in changed or () if name in lock.stages for out in lock.stages[name].outs
    }
    waiting = stage_graph.following(lock, changed or (), written)
    going = runs[0] if runs and runs[0].state == "running" else None
    latest = {stage.name: stage for stage in going.stages} if going else {}
    last: dict[str, StageRun] = {}
    for run in runs:
        for stage in run.stages:
            if stage.status == 0:
                last.setdefault(stage.name, stage)
    return [
        StageState(name, *_state(name, changed, waiting, latest.get(name)), last.get(name))
        for name in names
    ]


def _state(
    name: str, changed: Changes | None, waiting: set[str], latest: StageRun | None
) -> tuple[State, str]:
    if latest is not None:
        if latest.status is None:
            return "running", ""
        return ("failed", latest.error) if latest.status else ("ran", "")
    if changed is None:
        return "unknown", ""
    if name in changed:
        return "changed", why(changed[name])
    return ("waits", "an earlier stage has changed") if name in waiting else ("up to date", "")


def worst(states: Iterable[StageState]) -> State:
    """The state of a group."""
    present = {each.state for each in states}
    return next((state for state in ORDER if state in present), "unknown")
