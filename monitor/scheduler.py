"""Runs commands of the monitor when they are due, each in a process of its own.

A command that fails is one line of the log, and is due again at its next time. The only state is
the time of the last runs, which is in the database.
"""

import fcntl
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

from monitor import child_process
from monitor.settings import MonitorError, Settings
from monitor.store import metric_history, records
from stages.common.errors import StageError
from stages.common.running import log

GRACE = 10.0
"""Seconds in which a command may end by itself when the scheduler is stopped."""

INTERRUPTED = 50.0
"""Seconds in which it has to end after that, once it was interrupted as by Ctrl-C."""

CHANGING = "changing"
"""The queue of commands that change the checkout: one runs at a time."""

_OPTIONS: Mapping[str, Any] = {
    # Times that passed while the machine slept, or while the job was running, are one run; and late
    # is better than never.
    "coalesce": True,
    "max_instances": 1,
    "misfire_grace_time": None,
    "replace_existing": True,
}


@dataclass(frozen=True)
class Job:
    """A command and when it is due.

    Attributes:
        name: as the metric `scheduler_run` and the log call it.
        command: words after `python`.
        trigger: of APScheduler; None for once, at once.
        at_start: whether it is also due when the scheduler starts.
        queue: jobs of one queue wait for each other.
        again: seconds after which it runs again if it failed, and how often; None for not before
            its time.
        well: exit statuses of a run that did what it should.
        then: what is called after it succeeded.
    """

    name: str
    command: Sequence[str]
    trigger: Any = None
    at_start: bool = False
    queue: str = "default"
    again: tuple[float, int] | None = None
    well: Collection[int] = (0,)
    then: Callable[["Scheduler"], None] | None = None


@dataclass
class Scheduler:
    """Runs jobs until it is stopped.

    Attributes:
        settings: of the monitor.
        jobs: what runs.
        python: the command before the words of a job.
    """

    settings: Settings
    jobs: Sequence[Job]
    python: Sequence[str] = (sys.executable,)
    _timer: Any = field(init=False)
    _children: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    _unwritten: list[tuple[datetime, str, bool]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _notes: threading.Lock = field(default_factory=threading.Lock)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._timer = _timer()

    def run(self) -> None:
        """Run until SIGTERM or SIGINT, and give running commands time to end.

        Raises:
            MonitorError: another scheduler runs here.
        """
        with _alone(self.settings.folder / "scheduler.lock"):
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: self._stopping.set())
            self.start()
            self._stopping.wait()
            self.stop()

    def start(self) -> None:
        """Plan every job; one that missed its time since its last run is due now."""
        last, now = self._last_runs(), self.settings.clock
        for job in self.jobs:
            run = last.get(job.name)
            missed = run is not None and job.trigger.get_next_fire_time(run, run) <= now
            self.add(job, now=job.at_start or missed)
        self._timer.start()

    def stop(self) -> None:
        """Start nothing more, and wait for what runs: it is interrupted, and killed at last."""
        self._stopping.set()
        self._timer.pause()
        if self._children:
            log.info("monitor: stops when done: %s", ", ".join(sorted(self._children)))
        for number, seconds in (
            (None, GRACE),
            (signal.SIGINT, INTERRUPTED),
            (signal.SIGKILL, GRACE),
        ):
            self._signal(number)
            deadline = time.monotonic() + seconds
            while self._children and time.monotonic() < deadline:
                time.sleep(0.05)
        self._timer.shutdown(wait=True)
        log.info("monitor: stopped")

    def add(self, job: Job, *, now: bool = False) -> None:
        """Plan a job at its times; with `now`, at once as well."""
        moment = {"next_run_time": datetime.now(UTC)} if now and job.trigger is not None else {}
        self._timer.add_job(
            self._run,
            job.trigger,
            args=(job,),
            id=job.name,
            executor=job.queue,
            **moment,
            **_OPTIONS,
        )

    def _run(self, job: Job, attempt: int = 0) -> None:
        started, clock = self.settings.clock, time.monotonic()
        path = self.settings.folder / "jobs" / f"{job.name}.log"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as output:
                status = self._wait(job, output)
        except OSError as error:
            log.error("%s: %s", job.name, error)
            status = 1
        if status is None:
            return
        well = status in job.well
        if not well:
            problem = child_process.reason(path.read_text(encoding="utf-8", errors="replace"))
            log.error("%s: exit status %s: %s (%s)", job.name, status, problem, path)
        else:
            log.info("%s: done in %.1f s", job.name, time.monotonic() - clock)
        self._note(started, job.name, succeeded=well)
        if self._stopping.is_set():
            return
        if well and job.then is not None:
            try:
                job.then(self)
            except StageError as error:
                log.error("%s: %s", job.name, error)
        if not well and job.again is not None and attempt < job.again[1]:
            self._timer.add_job(
                self._run,
                "date",
                run_date=datetime.now(UTC) + timedelta(seconds=job.again[0]),
                args=(job, attempt + 1),
                id=f"{job.name} again",
                executor=job.queue,
                **_OPTIONS,
            )

    def _wait(self, job: Job, output: IO[bytes]) -> int | None:
        """The exit status; None if the scheduler stops before it was started."""
        with self._lock:
            if self._stopping.is_set():
                return None
            # Ctrl-C reaches only the scheduler, which passes it on when the time has come.
            child = subprocess.Popen(  # noqa: S603  # no shell
                [*self.python, *job.command],
                env=child_process.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            self._children[job.name] = child
        try:
            return child.wait()
        finally:
            with self._lock:
                del self._children[job.name]

    def _signal(self, number: int | None) -> None:
        """Send a signal to every command that runs, and to what it has started."""
        with self._lock:
            for child in self._children.values():
                if number is not None and child.poll() is None:
                    os.killpg(child.pid, number)

    def _note(self, at: datetime, name: str, *, succeeded: bool) -> None:
        """Keep the metric `scheduler_run`; if the log is away, a later run keeps it too."""
        with self._notes:
            self._unwritten.append((at, name, succeeded))
            try:
                with records.opened(self.settings) as engine:
                    while self._unwritten:
                        moment, job, result = self._unwritten[0]
                        with records.writing(engine, self.settings, moment) as rows:
                            rows.metric("scheduler_run", float(result), {"job": job})
                        del self._unwritten[0]
            except (StageError, OSError) as error:
                log.error("%s: its run is noted when the log is back: %s", name, error)

    def _last_runs(self) -> Mapping[str, datetime]:
        try:
            with (
                records.opened(self.settings, read_only=True) as engine,
                engine.connect() as connection,
            ):
                runs = metric_history.since(
                    connection, datetime(1970, 1, 1, tzinfo=UTC), ["scheduler_run"]
                )
        except StageError:
            # The first check says what is wrong with the database.
            return {}
        return {tags["job"]: at for at, _, value, tags in runs if value}


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = path.read_text(encoding="utf-8")
            raise MonitorError(
                f"`python -m monitor run` runs here already (pid {pid}); stop it first"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _timer() -> Any:
    # Its own lines would repeat ours.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    from apscheduler.schedulers.background import BackgroundScheduler

    executors = {
        "default": {"type": "threadpool", "max_workers": 4},
        CHANGING: {"type": "threadpool", "max_workers": 1},
    }
    return BackgroundScheduler(executors=executors, timezone="UTC")
