"""Move data.as_of, reproduce, and show what became of rows, scores and forecasts.

    python -m versions.refresh 2013-02-28         make refresh AS_OF=2013-02-28
    python -m versions.refresh 2013-02-28 --all   also ask for the whole past again, and say what
                                                  the source has revised (ARGS=--all)

Of params.yaml only that date is changed. Nothing is committed: the last lines say how to keep the
new state, and how to go back. docs/data.md says more.
"""

import signal
import subprocess
import sys
from datetime import date

import polars as pl
from rich.console import Console
from rich.text import Text

from stages import ingest, params
from stages.bars import calendars, revisions
from stages.common import console, tables
from stages.common.errors import StageError, VersionError
from stages.common.paths import METRICS, RAW
from stages.common.running import Parser, run
from stages.common.sections import PARAMS_FILE
from stages.params import Params
from stages.sources import DataParams
from versions import report
from versions.repository import git, lock
from versions.repository.lock import LOCK_FILE
from versions.results import as_of, comparison, differences

BACK = f"git checkout HEAD -- {PARAMS_FILE} {LOCK_FILE} {METRICS} && dvc checkout"
"""What brings the state of the last commit back."""

_PARTS = (str(PARAMS_FILE), str(LOCK_FILE), str(METRICS), "data", "models")
"""What a refresh may touch, or a user to mend what stopped it."""


def move(day: str) -> bool:
    """Write the date into `params.yaml`; returns whether it was another one.

    Raises:
        ParamsError: it is no date, or `params.yaml` is wrong.
        VersionError: other changes of `params.yaml` wait for a commit of their own.
    """
    # What is wrong with the file is said before its text is taken apart.
    params.load()
    # Line ends are bytes too.
    text = PARAMS_FILE.read_bytes().decode("utf-8")
    new = as_of.moved(text, day)
    committed = (git.content("HEAD", PARAMS_FILE) or b"").decode("utf-8")
    # Once the date has moved, other changes may be what a stopped pipeline asked for.
    if text != committed and as_of.read(text) == as_of.read(committed):
        raise VersionError(
            f"{PARAMS_FILE} has changes that are not committed; commit them first, or put them "
            f"away (git stash push {PARAMS_FILE}), so that what differs comes from the new bars"
        )
    if text == new:
        return False
    with tables.replacing(PARAMS_FILE) as partial:
        partial.write_bytes(new.encode("utf-8"))
    return True


def reproduce(*, whole: bool = False) -> bool:
    """Run `dvc repro` with its output visible; returns whether anything came out otherwise.

    Args:
        whole: first ask the source for the whole past again.

    Raises:
        StageError: a stage failed.
    """
    before = LOCK_FILE.read_bytes() if LOCK_FILE.exists() else b""
    if whole:
        try:
            ingest.bring(whole=True)
        except StageError as error:
            raise _stopped(str(error)) from None
        _dvc("commit", "--quiet", "--force", "ingest")
    _dvc("repro")
    return LOCK_FILE.read_bytes() != before


def _dvc(*arguments: str) -> None:
    sys.stdout.flush()
    process = subprocess.Popen([sys.executable, "-m", "dvc", *arguments])  # noqa: S603  # no shell
    # DVC hears Ctrl-C as well, and ends in order: it alone is to answer.
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        failed = process.wait()
    finally:
        signal.signal(signal.SIGINT, former)
    if failed:
        raise _stopped("the pipeline stopped")


def _stopped(reason: str) -> StageError:
    return StageError(
        f"{reason}; {PARAMS_FILE} keeps the new date: mend what is named and type the same again, "
        f"or go back: {BACK}"
    )


def revised() -> pl.DataFrame | None:
    """What the last ingest found to be revised, unless its bars are those of the commit."""
    committed = git.content("HEAD", LOCK_FILE)
    bars = lock.read().outs.get(str(RAW))
    if committed is not None and lock.parse(committed).outs.get(str(RAW)) == bars:
        return None
    if not ingest.REVISIONS.exists():
        return None
    return pl.read_csv(ingest.REVISIONS, schema=dict(revisions.REVISION))


def behind(data: DataParams, newest: date) -> str | None:
    """That the source has no bars of the last sessions, or None; `newest` is of its newest bar."""
    if newest >= data.as_of:
        return None
    days = calendars.sessions(data.calendar, newest, data.as_of, data.extra_sessions).days
    missing = int((days > (newest - date(1970, 1, 1)).days).sum())
    if not missing:
        return None
    return (
        f"{data.source} has no bars of the last {missing:,} sessions up to {data.as_of}: "
        f"the newest is of {newest}. Refresh to that day, or again when they have come."
    )


def show(screen: Console, settings: Params) -> None:
    """Print what differs from the last commit, and how to keep it."""
    horizons, day = settings.horizons, settings.data.as_of
    names = list(horizons)
    present = comparison.present(names)
    screen.print()
    differences.show(screen, comparison.committed(names), present)
    late = behind(settings.data, date.fromisoformat(max(present.newest.values())))
    if late is not None:
        screen.print()
        screen.print(Text(late, style="bold"))
    found = revised()
    if found is not None:
        screen.print()
        screen.print(Text(f"Revised by the source: {revisions.summary(found)}", style="bold"))
        screen.print(f"The whole list is in {ingest.REVISIONS}.")
    for horizon in names:
        screen.print()
        screen.print(report.forecasts_table(report.load(horizon).forecasts, horizon))
    changes = git.changes()
    parts = [part for part in _PARTS if any(f"{name}/".startswith(f"{part}/") for name in changes)]
    screen.print()
    screen.print("Keep it")
    screen.print(f'  git add {" ".join(parts)} && git commit -m "Refresh to {day}"', soft_wrap=True)
    screen.print("  dvc push")
    screen.print("Or go back")
    screen.print(f"  {BACK}", soft_wrap=True)


def main() -> None:
    """Move, reproduce, show."""
    parser = Parser(prog="python -m versions.refresh")
    parser.add_argument("day", nargs="?")
    parser.add_argument("--all", action="store_true", dest="whole")
    given = parser.parse_args()
    if given.day is None:
        raise StageError(
            "name the newest session: make refresh AS_OF=2013-02-28, or "
            "python -m versions.refresh 2013-02-28"
        )
    has_moved = move(given.day)
    has_changed = reproduce(whole=given.whole)
    if not has_moved and not has_changed:
        sys.stdout.write(
            f"Nothing to do: data.as_of is {given.day}, and all of it is reproduced.\n"
        )
    if any(f"{name}/".startswith((f"{PARAMS_FILE}/", f"{LOCK_FILE}/")) for name in git.changes()):
        settings = params.load()
        console.page(lambda screen: show(screen, settings))


if __name__ == "__main__":
    run(main)
