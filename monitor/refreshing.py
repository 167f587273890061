"""Bring the newest bars into the checkout without retraining, as a commit of its own."""

import subprocess
import sys
from datetime import date
from pathlib import Path

import polars as pl

from monitor import child_process
from monitor.retraining import journal, running_lock
from monitor.settings import MonitorError, Settings
from stages.common import tables
from stages.common.errors import few
from stages.common.paths import LATEST, METRICS
from stages.common.running import log
from stages.common.sections import PARAMS_FILE
from versions import as_of as as_of_text
from versions.repository import git
from versions.repository.lock import LOCK_FILE

INPUTS = Path("data")
"""Files of the user's own may wait here, such as the bars of an inbox; a refresh commits them."""

END = 30
"""Seconds in which a command that was interrupted has to end."""

CHANGED = (str(PARAMS_FILE), str(LOCK_FILE), str(METRICS))
"""What a refresh changes among the files of git."""


def refresh(settings: Settings, day: date, as_of: date) -> date | None:
    """Move `data.as_of` of the checkout to a day, compute up to the newest features, and commit.

    Where the source is late, the day is that of its newest bar. A refresh that fails, brings no bar
    or is interrupted leaves the checkout as it was; one that was killed is undone by the next.

    Args:
        settings: of the monitor.
        day: the newest session that has closed.
        as_of: `data.as_of` of the checkout.

    Returns:
        The session of the newest bar; None if the checkout knows that day already.

    Raises:
        MonitorError: the checkout has other changes, a retraining is at work, the pipeline failed,
            or the source has no newer bars.
        VersionError: git failed.
    """
    if day <= as_of:
        return None
    # A promotion that was killed expects the checkout as it left it.
    journal.recover(settings)
    with running_lock.hold(settings, f"refresh to {day}"):
        mark = settings.folder / "refreshing"
        if mark.exists() and _is_half_made(mark.read_text(encoding="utf-8")):
            log.warning("a refresh was killed; what it left is undone")
            _go_back()
        # First, so that nothing that a person has changed is undone below.
        _check_checkout()
        mark.write_text(git.commit(), encoding="utf-8")
        try:
            newest = _refresh(day, as_of)
        except BaseException:
            _go_back()
            mark.unlink()
            raise
        mark.unlink()
        return newest


def _is_half_made(head: str) -> bool:
    """Whether the checkout differs from a commit by what a refresh changes, and by nothing else."""
    committed, present = git.content("HEAD", PARAMS_FILE) or b"", PARAMS_FILE.read_bytes()
    text = present.decode("utf-8")
    day = as_of_text.read(text)
    if head != git.commit() or day is None:
        return False
    return as_of_text.moved(committed.decode("utf-8"), day) == text and all(
        any(Path(name).is_relative_to(path) for path in CHANGED) for name in _changes()
    )


def _changes() -> list[str]:
    """What differs from the commit, except for files that the user has brought."""
    return [name for name in git.changes() if not Path(name).is_relative_to(INPUTS)]


def _check_checkout() -> None:
    others = _changes()
    if others:
        raise MonitorError(
            f"the checkout has changes that are not committed: {few(others)}; commit them, or put "
            "them away (git stash), so that the commit of the refresh has the new bars alone"
        )


def _refresh(day: date, as_of: date) -> date:
    before = newest_bar()
    done = _python("versions.refresh", str(day), "--keep", "models")
    if done.returncode:
        raise MonitorError(f"refresh to {day}: {child_process.reason(done.stderr)}")
    after = newest_bar()
    if after != day:
        if after is None or after <= max(before or as_of, as_of):
            raise MonitorError(f"refresh to {day}: the source has no bars after {before}")
        # `data.as_of` counts as today: it must not be ahead of the bars.
        log.info("the source has no bars after %s", after)
        _go_back()
        return _refresh(after, as_of)
    git.git("add", "--", *CHANGED, str(INPUTS))
    # The hooks check code and pipeline, and this commit changes neither.
    git.git("commit", "--quiet", "--no-verify", "--message", f"Refresh to {day}")
    return after


def newest_bar() -> date | None:
    """The session of the newest bar that a server would forecast from; None before the first."""
    if not LATEST.exists():
        return None
    rows = tables.read(LATEST, ["date", "market"]).filter(~pl.col("market"))
    return rows["date"].max()  # type: ignore[return-value]  # a column of dates


def _go_back() -> None:
    git.git("checkout", "--quiet", "HEAD", "--", *CHANGED)
    # What the pipeline makes, and not what the user has brought.
    _python("dvc", "checkout", "--quiet", "--force", "dvc.yaml")


def _python(*words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", *words]
    with subprocess.Popen(  # noqa: S603  # no shell
        command,
        env=child_process.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            output, errors = process.communicate()
        except KeyboardInterrupt:
            # It was interrupted as well; what it has begun must end before anything is undone.
            process.wait(END)
            raise
    return subprocess.CompletedProcess(command, process.returncode, output, errors)
