"""Run the command of a record, and note its end.

    python -m versions.runs.supervise FOLDER [FD...]

The dashboard starts it; nobody needs to type it. It has a session of its own, so that the run goes
on when the dashboard ends. SIGINT or SIGTERM stops the command as Ctrl-C would, and kills it if it
has not ended after some seconds. The open files FD, which hold locks, are passed on to the command.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from stages.common.errors import StageError
from stages.common.running import run
from stages.common.stage_record import FOLDER
from versions.runs import log_tail, run_record
from versions.tuning.trial import reason

STOP_SECONDS = 30
"""Seconds in which a command that was interrupted has to end."""


class Supervised:
    """A command in a process group of its own.

    Args:
        locks: open files that the command inherits.
    """

    def __init__(self, folder: Path, locks: list[int]) -> None:
        self._folder = folder
        self._locks = locks
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = False

    def run(self) -> int:
        """Run it to its end; returns its exit status, negative for a signal."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self.stop())
        signal.signal(signal.SIGALRM, lambda *_: self._send(signal.SIGKILL))
        words = run_record.content(self._folder).get("words")
        if not words:
            raise StageError(f"{self._folder}/run.json: no such record")
        with (self._folder / run_record.LOG).open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  # no shell
                [sys.executable, "-m", *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_environment(self._folder),
                pass_fds=self._locks,
                process_group=0,
            )
        run_record.note_process(self._folder, self._process.pid)
        if self._stopping:
            self.stop()
        status = self._process.wait()
        if status:
            # A stage may outlive a DVC that was killed.
            self._send(signal.SIGKILL)
        return status

    def stop(self) -> None:
        """Interrupt it, and kill it later if that does not end it."""
        self._stopping = True
        self._send(signal.SIGINT)
        signal.alarm(STOP_SECONDS)

    def _send(self, number: int) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)


def _environment(folder: Path) -> dict[str, str]:
    # DVC starts every stage as `python`: the one that runs this.
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    return {**os.environ, "PATH": path, FOLDER: str(folder.resolve()), "PYTHONUNBUFFERED": "1"}


def why(folder: Path, status: int) -> str:
    """The line that says why a command failed; empty if it did not."""
    if not status:
        return ""
    record = run_record.read(folder)
    own = [stage.error for stage in record.stages if stage.error] if record else []
    return own[-1] if own else reason("\n".join(log_tail.read(folder / run_record.LOG).lines))


def main() -> None:
    """Run, and note the end."""
    folder, *locks = sys.argv[1:]
    path = Path(folder)
    files = [int(each) for each in locks]
    status = Supervised(path, files).run()
    # Whoever sees the end may start the next run at once, and not when this process has ended.
    for file in files:
        os.close(file)
    run_record.note_end(path, datetime.now(UTC), status, why(path, status))


if __name__ == "__main__":
    run(main)
