"""How long each stage took and how it ended, in `var/runs/` of the project.

The dashboard names the folder of its run in the environment. A run from a terminal is identified
by the process of DVC that started the stage. Records are not outputs of a stage: where they cannot
be written, the stage goes on.
"""

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from stages.common import processes
from stages.common.paths import RUNS
from stages.common.processes import Process

FOLDER = "PIPELINE_RUN"
"""The environment variable with the folder of a run."""

TITLE = 120
"""Most letters of the title of a run: a command line may be long."""

MAX_RUNS = 200
"""Most folders of runs; the oldest are removed when a new run begins."""


@contextmanager
def recorded() -> Iterator[None]:
    """Record what runs within, if DVC runs it as a stage."""
    stage = os.environ.get("DVC_STAGE")
    if not stage:
        yield
        return
    me = processes.process(os.getpid())
    began = time.time() - (me.age if me else 0.0)
    folder = _folder()
    _add(folder, stage, began=began)
    status, error = 0, ""
    try:
        yield
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
        cause = ended.__context__
        error = "interrupted" if isinstance(cause, KeyboardInterrupt) else str(cause or "")
        raise
    except BaseException as cause:
        status, error = 1, f"{type(cause).__name__}: {cause}"
        raise
    finally:
        seconds = round(time.time() - began, 3)
        _add(folder, stage, seconds=seconds, status=status, error=" ".join(error.split()))


def _folder() -> Path | None:
    """The folder of the run that this stage belongs to; None if DVC did not start the stage."""
    if path := os.environ.get(FOLDER):
        return Path(path)
    dvc = _starter()
    root = os.environ.get("DVC_ROOT")
    if dvc is None or not root:
        return None
    folder = Path(root) / RUNS / f"dvc-{dvc.pid}-{dvc.ticks}"
    if not folder.exists():
        with suppress(OSError):
            _begin(folder, dvc)
    return folder


def _starter() -> Process | None:
    """The nearest ancestor that is a process of DVC."""
    process = processes.process(os.getppid())
    while process is not None and "dvc" not in process.programs:
        process = processes.process(process.parent)
    return process


def _begin(folder: Path, dvc: Process) -> None:
    words = dvc.words[dvc.programs.index("dvc") + 1 :]
    experiment = os.environ.get("DVC_EXP_NAME")
    title = f"dvc exp run of {experiment}" if experiment else f"dvc {' '.join(words)}"
    create(
        folder,
        {
            "title": " ".join(title.split())[:TITLE],
            "words": ["dvc", *words],
            "who": os.environ.get("USER") or os.environ.get("LOGNAME") or "unknown",
            "began": time.time() - dvc.age,
            "source": "terminal",
        },
    )
    note_process(folder, dvc)


def create(folder: Path, content: dict[str, Any]) -> None:
    """Make the folder of a run, and remove those of the oldest runs."""
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(content), encoding="utf-8")
    others = [entry for entry in os.scandir(folder.parent) if entry.is_dir()]
    for entry in sorted(others, key=lambda each: each.stat().st_mtime_ns)[:-MAX_RUNS]:
        shutil.rmtree(entry, ignore_errors=True)


def note_process(folder: Path, process: Process) -> None:
    """Note a process of a run: the run goes on as long as one of them does."""
    with (folder / "processes").open("a", encoding="utf-8") as file:
        file.write(f"{process.pid} {process.ticks}\n")


def _add(folder: Path | None, stage: str, **values: Any) -> None:
    if folder is not None:
        with suppress(OSError), (folder / "stages.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"stage": stage, **values}) + "\n")
