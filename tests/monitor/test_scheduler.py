"""The scheduler, with commands that are processes of their own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from monitor import schedule, scheduler
from monitor.scheduler import CHANGING, Job, Scheduler
from monitor.settings import MonitorError, Settings
from monitor.store import metric_history, records
from stages.monitor_params import ScheduleParams
from tests.projects import ROOT

NEVER = IntervalTrigger(days=365)


def python(code: str) -> Sequence[str]:
    return ("-c", code)


def until(true: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def runs(settings: Settings) -> list[tuple[str, float | None]]:
    since = datetime(1970, 1, 1, tzinfo=UTC)
    with records.opened(settings) as engine, engine.connect() as connection:
        rows = metric_history.since(connection, since, ["scheduler_run"])
    return [(tags["job"], value) for _, _, value, tags in rows]


@contextmanager
def running(settings: Settings, jobs: Sequence[Job]) -> Iterator[None]:
    """A scheduler that ends with the test, even with one that fails."""
    started = Scheduler(settings, jobs)
    started.start()
    try:
        yield
    finally:
        started.stop()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(var=tmp_path / "var")


def test_each_run_is_noted_and_a_failure_is_one_line(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "stages")
    broken = "import sys; print('a\\nb'); sys.exit('error: no bars; wait\\nmore')"
    jobs = [
        Job("good", python("print('well')"), NEVER, at_start=True),
        Job("bad", python(broken), NEVER, at_start=True),
    ]
    with running(settings, jobs):
        until(lambda: len(runs(settings)) == 2)
    assert sorted(runs(settings)) == [("bad", 0.0), ("good", 1.0)]
    (line,) = [text for text in caplog.messages if text.startswith("bad: ")]
    log = settings.folder / "jobs" / "bad.log"
    assert line == f"bad: exit status 1: no bars; wait ({log})"
    assert log.read_text("utf-8").startswith("a\nb\n")


def test_a_job_never_overlaps_itself_and_times_that_passed_are_one_run(
    settings: Settings, tmp_path: Path
) -> None:
    spans = tmp_path / "spans"
    code = (
        f"import time; f = open({str(spans)!r}, 'a', buffering=1); f.write('begin\\n'); "
        "time.sleep(0.7); f.write('end\\n')"
    )
    with running(settings, [Job("slow", python(code), IntervalTrigger(seconds=0.1))]):
        until(lambda: spans.exists() and spans.read_text("utf-8").count("end") >= 2)
    lines = spans.read_text("utf-8").split()
    assert lines == ["begin", "end"] * (len(lines) // 2)


def test_jobs_that_change_the_checkout_wait_for_each_other(
    settings: Settings, tmp_path: Path
) -> None:
    spans = tmp_path / "spans"
    code = (
        f"import sys, time; f = open({str(spans)!r}, 'a', buffering=1); f.write('begin\\n'); "
        "time.sleep(0.4); f.write('end\\n')"
    )
    jobs = [Job(name, python(code), NEVER, at_start=True, queue=CHANGING) for name in "ab"]
    with running(settings, jobs):
        until(lambda: len(runs(settings)) == 2)
    assert spans.read_text("utf-8").split() == ["begin", "end"] * 2


def test_a_job_that_failed_runs_again_so_often(settings: Settings) -> None:
    job = Job("late", python("raise SystemExit(1)"), NEVER, at_start=True, again=(0.05, 2))
    with running(settings, [job]):
        until(lambda: len(runs(settings)) == 3)
        time.sleep(0.3)
    assert runs(settings) == [("late", 0.0)] * 3


def test_without_the_database_jobs_run_and_are_noted_when_it_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # A file lies where the folder of the log should be.
    (tmp_path / "var").mkdir()
    (tmp_path / "away").write_text("", "utf-8")
    url = f"sqlite:///{tmp_path / 'away' / 'predictions.db'}"
    settings = Settings(var=tmp_path / "var", database_url=url)
    done = tmp_path / "done"
    code = f"open({str(done)!r}, 'a').write('x')"
    with running(settings, [Job("check", python(code), IntervalTrigger(seconds=0.2))]):
        until(lambda: done.exists() and len(done.read_text("utf-8")) >= 2)
        until(lambda: caplog.messages)
        (tmp_path / "away").unlink()
        (tmp_path / "away").mkdir(exist_ok=True)
        until(lambda: (tmp_path / "away" / "predictions.db").exists() and len(runs(settings)) >= 3)
    assert {result for _, result in runs(settings)} == {1.0}
    lines = [text for text in caplog.messages if "is noted when the log is back" in text]
    assert lines
    assert all("\n" not in line for line in lines)


def test_a_time_missed_while_the_scheduler_was_down_is_caught_up(settings: Settings) -> None:
    weekly = CronTrigger(day_of_week="sat", hour=6, timezone="UTC")
    days = {"fresh": 0.0, "missed": 8.0}
    with records.opened(settings) as engine:
        for name, ago in days.items():
            moment = datetime.now(UTC) - timedelta(days=ago)
            with records.writing(engine, settings, moment) as rows:
                rows.metric("scheduler_run", 1.0, {"job": name})
    jobs = [Job(name, python(""), weekly) for name in (*days, "never ran")]
    with running(settings, jobs):
        until(lambda: ("missed", 1.0) in runs(settings)[2:])
    assert len(runs(settings)) == 3


ALONE = """
import logging, sys
from pathlib import Path
from apscheduler.triggers.interval import IntervalTrigger
from monitor import scheduler
from monitor.settings import MonitorError, Settings
logging.basicConfig(level="INFO", format="%(message)s")
scheduler.GRACE, scheduler.INTERRUPTED = float(sys.argv[2]), float(sys.argv[3])
job = scheduler.Job("work", ("-c", sys.argv[4]), IntervalTrigger(days=1), at_start=True)
scheduler.Scheduler(Settings(var=Path(sys.argv[1])), [job]).run()
"""


@pytest.mark.parametrize(
    ("number", "times", "code", "left"),
    [
        # It has time to end by itself.
        (signal.SIGTERM, (20, 20), "time.sleep(1); mark('ended')", "ended"),
        # It is interrupted as by Ctrl-C.
        (
            signal.SIGINT,
            (0.2, 20),
            "\ntry: time.sleep(60)\nexcept KeyboardInterrupt: mark('interrupted')",
            "interrupted",
        ),
        # It will not end.
        (
            signal.SIGTERM,
            (0.2, 0.5),
            "signal.signal(signal.SIGINT, signal.SIG_IGN); mark('deaf'); time.sleep(60)",
            "deaf",
        ),
    ],
)
def test_a_signal_ends_it_in_order_and_a_running_command_gets_time(
    tmp_path: Path, number: int, times: tuple[float, float], code: str, left: str
) -> None:
    started, marked = tmp_path / "started", tmp_path / "marked"
    code = (
        f"import os, signal, time; open({str(started)!r}, 'w').write(str(os.getpid()))\n"
        f"mark = lambda text: open({str(marked)!r}, 'w').write(text)\n{code}"
    )
    command = [sys.executable, "-c", ALONE, str(tmp_path / "var"), *map(str, times), code]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    until(lambda: started.exists() and started.read_text("utf-8"))
    if left == "deaf":
        until(marked.exists)
    child = int(started.read_text("utf-8"))
    with pytest.raises(
        MonitorError, match=rf"runs here already \(pid {process.pid}\); stop it first"
    ):
        Scheduler(Settings(var=tmp_path / "var"), []).run()
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert marked.read_text("utf-8") == left
    assert errors.splitlines()[0] == "monitor: stops when done: work"
    assert errors.splitlines()[-1] == "monitor: stopped"
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_the_schedule_of_params() -> None:
    params = ScheduleParams(check_minutes=5, refresh="daily", after_close=30, retrain="weekly")
    check, back, judge, refresh, retrain = schedule.jobs(
        Settings(), params, "XNYS", timedelta(minutes=5)
    )
    # A Thursday before Independence Day in 2025, when New York closed at 13:00 (17:00 UTC).
    noon = datetime(2025, 7, 3, 16, tzinfo=UTC)
    moments = [noon]
    for _ in range(2):
        moments.append(refresh.trigger.get_next_fire_time(None, moments[-1]))
    assert moments[1:] == [
        datetime(2025, 7, 3, 17, 30, tzinfo=UTC),
        datetime(2025, 7, 7, 20, 30, tzinfo=UTC),
    ]
    weekend = retrain.trigger.get_next_fire_time(None, noon)
    assert weekend.astimezone(UTC) == datetime(2025, 7, 5, 10, tzinfo=UTC)
    of_months = params.model_copy(update={"retrain": "monthly"})
    monthly = schedule.jobs(Settings(), of_months, "XNYS", timedelta(minutes=5))[-1]
    first = monthly.trigger.get_next_fire_time(None, datetime(2025, 7, 6, tzinfo=UTC))
    assert first.date().isoformat() == "2025-08-02"
    assert check.trigger.interval == timedelta(minutes=5)
    assert check.queue == "default"
    assert {job.queue for job in (back, judge, refresh, retrain)} == {CHANGING}
    assert back.command[-2:] == ("rollback", "--check")
    only = params.model_copy(update={"refresh": "never", "retrain": "never"})
    names = [job.name for job in schedule.jobs(Settings(), only, "XNYS", timedelta(hours=1))]
    assert names == ["check", "rollback", "judge"]
    assert scheduler.GRACE + scheduler.INTERRUPTED < 90


def test_drift_is_proposed_once_a_session(settings: Settings) -> None:
    folder = settings.folder / "drift"
    folder.mkdir(parents=True)
    proposing = schedule.Proposals(settings)
    jobs: list[Job] = []

    class JobList(Scheduler):
        def add(self, job: Job, *, now: bool = False) -> None:
            del now
            jobs.append(job)

    scheduled = JobList(settings, [])

    def jobs_after(horizon: str, last: str, *, alarm: bool) -> int:
        content = {"horizon": horizon, "last": last, "alarm": alarm}
        (folder / f"{horizon}.json").write_text(json.dumps(content), "utf-8")
        proposing(scheduled)
        return len(jobs)

    proposing(scheduled)
    assert jobs_after("short", "2012-12-31", alarm=False) == 0
    assert jobs_after("short", "2012-12-31", alarm=True) == 1
    assert jobs_after("short", "2012-12-31", alarm=True) == 1
    assert jobs_after("long", "2012-12-31", alarm=True) == 2
    assert jobs_after("short", "2013-01-02", alarm=True) == 3
    assert jobs[0].command == ("-m", "monitor", "retrain", "--reason", "drift")
    assert jobs[0].queue == CHANGING
