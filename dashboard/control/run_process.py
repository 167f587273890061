"""Start a command as a run, stop it, and say what runs."""

import os
import signal
import time
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path

from dashboard.control import command_process
from dashboard.control.run_commands import Command
from monitor.retraining import running_lock
from monitor.settings import MonitorError, Settings
from stages.common.paths import RUNS
from versions.runs import run_locks, run_record
from versions.runs.run_locks import RunningError
from versions.runs.run_record import Run

ORPHAN = 10
"""Seconds in which a command has to end once its supervisor was killed."""


def current() -> Run | None:
    """The run that goes on, from the dashboard or from a terminal; None without one."""
    return run_record.running()


def start(command: Command, viewer_name: str, settings: Settings) -> str:
    """Start a command as a run that does not end with the dashboard; returns its id.

    Args:
        command: of `run_commands`.
        viewer_name: who asked for it.
        settings: of the monitor, whose audit trail notes it, and whose work excludes it.

    Raises:
        RunningError: another run, a DVC in a terminal or the monitor is at work on the checkout.
        MonitorError: the audit trail cannot be written; nothing was started.
    """
    _refuse_second()
    name = command_process.new_name(datetime.now(UTC))
    with ExitStack() as locks:
        own = locks.enter_context(run_locks.lock())
        try:
            shared = running_lock.hold(settings, command.title)
            others = [] if command.locks else [locks.enter_context(shared)]
        except MonitorError as error:
            raise RunningError(str(error)) from None
        files = [each.fileno() for each in (own, *others)]
        supervisor = command_process.supervise(name, command, viewer_name, settings, files)
        for each in others:
            running_lock.sign(each, settings, command.title, supervisor)
    return name


def stop(run_id: str, viewer_name: str, settings: Settings) -> None:
    """Ask a run of the dashboard to stop, as Ctrl-C would; the next run goes on from there.

    What does not end is killed after some seconds.

    Raises:
        RunningError: it does not run, or it runs in a terminal.
    """
    run = current()
    if run is None or run.id != run_id:
        raise RunningError("this run has ended")
    if run.source != "dashboard":
        raise RunningError(f"`{run.title}` runs in a terminal of {run.who}; stop it there: Ctrl-C")
    command_process.note(f"{run_id} stopped", Command(run.title, run.words), viewer_name, settings)
    folder = RUNS / run_id
    run_record.note_stop(folder, viewer_name)
    _interrupt(folder)


def _interrupt(folder: Path) -> None:
    """Interrupt the supervisor, which does the rest; without one, the command itself."""
    supervisor, *commands = run_record.started(folder)
    with suppress(ProcessLookupError):
        if supervisor.alive:
            os.kill(supervisor.pid, signal.SIGINT)
            return
        for command in commands:
            os.killpg(command.pid, signal.SIGINT)
            deadline = time.monotonic() + ORPHAN
            while command.alive and time.monotonic() < deadline:
                time.sleep(0.1)
            os.killpg(command.pid, signal.SIGKILL)


def _refuse_second() -> None:
    run = current()
    if run is not None:
        where = "in a terminal " if run.source == "terminal" else ""
        raise RunningError(
            f"{run.title}: {run.who} runs it {where}since {run.began:%Y-%m-%d %H:%M} UTC; wait for "
            "its end, or stop it"
        )
    other = run_locks.busy_dvc()
    if other is not None:
        raise RunningError(f"{other} runs the pipeline in a terminal; wait for its end")
