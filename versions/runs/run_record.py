"""The records of runs in `var/runs/`, a folder for each: written by stages and by `supervise`."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from stages.common import processes, stage_record
from stages.common.paths import RUNS

State = Literal["running", "succeeded", "failed", "stopped", "killed", "ended"]
"""`ended` is a run from a terminal, whose exit status is unknown."""

LOG = "log"


@dataclass(frozen=True)
class StageRun:
    """What one stage did in a run.

    Attributes:
        name: such as `train@short-ridge`.
        began: when its process started, in UTC.
        seconds: that it took; None if it has not ended.
        status: its exit status; None if it has not ended.
        error: its one line of error.
    """

    name: str
    began: datetime
    seconds: float | None = None
    status: int | None = None
    error: str = ""


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        id: the name of its folder.
        title: what it does, in a line.
        words: of its command, after `python -m`.
        who: the viewer who started it, or the account in whose terminal it was.
        source: `dashboard` or `terminal`.
        began, ended: in UTC; `ended` is None while it runs, and where the end is unknown.
        state: see `State`.
        status: its exit status; None where it is unknown.
        error: why it failed, in a line.
        stopped_by: the viewer who asked it to stop.
        stages: that ran; one that DVC restored or left unchanged is not among them.
    """

    id: str
    title: str
    words: tuple[str, ...]
    who: str
    source: str
    began: datetime
    ended: datetime | None
    state: State
    status: int | None
    error: str
    stopped_by: str
    stages: tuple[StageRun, ...]


class Started(NamedTuple):
    """A process of a run, by its number and when it began."""

    pid: int
    ticks: int

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return processes.alive(self.pid, self.ticks)


def create(folder: Path, title: str, words: Sequence[str], who: str, began: datetime) -> None:
    """Make the record of a run that is to be started."""
    content = {
        "title": title,
        "words": list(words),
        "who": who,
        "began": began.timestamp(),
        "source": "dashboard",
    }
    stage_record.create(folder, content)


def content(folder: Path) -> Mapping[str, Any]:
    """What was written when a run began; empty if it cannot be read."""
    return _json(folder / "run.json")


def note_process(folder: Path, pid: int) -> None:
    """Note a process of a run."""
    process = processes.process(pid)
    if process is not None:
        stage_record.note_process(folder, process)


def note_stop(folder: Path, who: str) -> None:
    """Note who asked a run to stop."""
    _write(folder / "stop.json", {"who": who})


def note_end(folder: Path, ended: datetime, status: int, error: str) -> None:
    """Note how a run ended."""
    _write(folder / "end.json", {"ended": ended.timestamp(), "status": status, "error": error})


def listed(runs: Path = RUNS) -> list[Run]:
    """Every run on record, newest first."""
    records = filter(None, map(read, _folders(runs)))
    return sorted(records, key=lambda run: (run.began, run.id), reverse=True)


def running(runs: Path = RUNS) -> Run | None:
    """The run that goes on, the newest if there are several; None without one."""
    at_work = [
        run
        for folder in _folders(runs)
        if not (folder / "end.json").exists() and _alive(folder)
        if (run := read(folder)) is not None and run.state == "running"
    ]
    return max(at_work, key=lambda run: run.began, default=None)


def read(folder: Path) -> Run | None:
    """The run of a folder; None if there is none."""
    begin = content(folder)
    if not begin:
        return None
    # In this order: a run that ends meanwhile is not taken for one that was killed.
    alive = _alive(folder)
    end = _json(folder / "end.json")
    stopped_by = str(_json(folder / "stop.json").get("who", ""))
    stages = tuple(_stages(folder / "stages.jsonl"))
    failed = next((stage for stage in reversed(stages) if stage.status), None)
    state: State
    if end and end["status"]:
        state = "stopped" if stopped_by else "failed"
    elif end:
        state = "succeeded"
    else:
        state = "running" if alive else _unseen(begin, stages)
    return Run(
        id=folder.name,
        title=str(begin["title"]),
        words=tuple(begin["words"]),
        who=str(begin["who"]),
        source=str(begin["source"]),
        began=_moment(begin["began"]),
        ended=_moment(end["ended"]) if end else None,
        state=state,
        status=end.get("status"),
        error=str(end.get("error") or (failed.error if failed else "")),
        stopped_by=stopped_by,
        stages=stages,
    )


def _unseen(begin: Mapping[str, Any], stages: Sequence[StageRun]) -> State:
    """The state of a run that has ended without a note of its end."""
    if begin["source"] != "terminal" or (stages and stages[-1].seconds is None):
        return "killed"
    return "failed" if stages and stages[-1].status else "ended"


def started(folder: Path) -> list[Started]:
    """The processes of a run: of the dashboard, the supervisor and its command; else DVC."""
    try:
        lines = (folder / "processes").read_text(encoding="utf-8").splitlines()
        return [Started(*map(int, line.split())) for line in dict.fromkeys(lines)]
    except (OSError, ValueError, TypeError):
        return []


def _alive(folder: Path) -> bool:
    return any(process.alive for process in started(folder))


def _folders(runs: Path) -> list[Path]:
    try:
        return [Path(entry.path) for entry in os.scandir(runs) if entry.is_dir()]
    except OSError:
        return []


def _stages(path: Path) -> list[StageRun]:
    stages: dict[str, StageRun] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    for line in lines:
        try:
            values = json.loads(line)
            name = values.pop("stage")
            if "began" in values:
                stages.pop(name, None)
                stages[name] = StageRun(name, _moment(values["began"]))
            else:
                stages[name] = StageRun(name, stages[name].began, **values)
        except (ValueError, KeyError, TypeError):
            # A line that was cut off, as by a full disk.
            continue
    return list(stages.values())


def _moment(timestamp: float) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC)


def _json(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _write(path: Path, values: Mapping[str, Any]) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(values), encoding="utf-8")
    partial.replace(path)
