"""Starts every process of the dashboard: none begins before the audit trail says who asked for it.

No other module of the dashboard imports `subprocess`; a contract in pyproject.toml keeps it so.
"""

import secrets
import subprocess
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from dashboard.control.run_commands import Command
from monitor.settings import MonitorError, Settings
from monitor.store import audit_trail, records
from stages.common.errors import StageError
from stages.common.paths import RUNS
from versions.runs import run_record

LIMIT = 120
"""Seconds for an answer."""


class NoAnswerError(StageError):
    """A command that was asked something did not end in time."""


def new_name(now: datetime) -> str:
    """A name for what begins now; names sort by time."""
    return f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"


def note(event: str, command: Command, viewer_name: str, settings: Settings) -> None:
    """Put into the audit trail what somebody asks for, before it happens.

    Args:
        event: what happens, such as `<name of the run> started`.
        command: of `run_commands`.
        viewer_name: who asks for it.
        settings: of the monitor, which say where the trail is.

    Raises:
        MonitorError: the trail cannot be read or written.
    """
    row = {
        "event": event,
        "who": viewer_name,
        "title": command.title,
        "words": list(command.words),
    }
    folder = settings.var / records.TRAIL
    try:
        audit_trail.append(
            folder, [audit_trail.Entry(audit_trail.RUNS, event, row)], settings.clock
        )
    except OSError as error:
        raise MonitorError(
            f"the audit trail {folder} cannot be written: {error.strerror or error}; without it "
            "nothing is started or stopped here"
        ) from None


def answer(
    command: Command, viewer_name: str, settings: Settings, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command that changes nothing, and wait for its answer.

    Args:
        command: of `run_commands`.
        viewer_name: who asks.
        settings: of the monitor, whose audit trail notes it.
        folder: of the project; the working folder by default.

    Raises:
        MonitorError: the audit trail cannot be written; nothing was started.
        NoAnswerError: the command did not end within `LIMIT`.
    """
    note(f"{new_name(datetime.now(UTC))} asked", command, viewer_name, settings)
    try:
        return subprocess.run(  # noqa: S603  # no shell
            [sys.executable, "-m", *command.words],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NoAnswerError(
            f"{' '.join(command.words)}: no answer within {LIMIT} s; type it in a terminal to see "
            "what it waits for"
        ) from None


def supervise(
    name: str, command: Command, viewer_name: str, settings: Settings, files: Sequence[int]
) -> int:
    """Start a command as a run on record that does not end with the dashboard.

    Args:
        name: of the run.
        command: of `run_commands`.
        viewer_name: who asks for it.
        settings: of the monitor, whose audit trail notes it.
        files: open ones that the run keeps open, so that their locks hold as long as it lasts.

    Returns:
        The process number of its supervisor.

    Raises:
        MonitorError: the audit trail cannot be written; nothing was started.
    """
    note(f"{name} started", command, viewer_name, settings)
    folder = RUNS / name
    run_record.create(folder, command.title, command.words, viewer_name, datetime.now(UTC))
    process = subprocess.Popen(  # noqa: S603  # no shell
        [sys.executable, "-m", "versions.runs.supervise", str(folder), *map(str, files)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        pass_fds=files,
    )
    run_record.note_process(folder, process.pid)
    # A process that has ended would stay a zombie as long as the dashboard runs.
    threading.Thread(target=process.wait, daemon=True).start()
    return process.pid
