"""Move data.as_of, reproduce, and show how rows, scores and forecasts changed.

    python -m versions.refresh 2013-02-28         make refresh AS_OF=2013-02-28
    python -m versions.refresh 2013-02-28 --all   ask for the whole past again, and report what
                                                  the source has revised (ARGS=--all)
    python -m versions.refresh 2013-01-02 --keep models
                                                  bring the bars and leave the models as they are
                                                  (KEEP=models)

It changes that date in params.yaml and no other byte, and commits nothing: the last lines say how
to keep the new state, and how to go back. See docs/data.md.
"""

import dataclasses
import json
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.text import Text

from stages import params
from stages.common import tables
from stages.common.errors import StageError, VersionError
from stages.common.paths import LATEST, METRICS, RAW, REVISIONS, REVISIONS_SUMMARY, SESSIONS
from stages.common.running import Parser, run
from stages.common.sections import PARAMS_FILE
from stages.params import Params
from versions import as_of, console, report
from versions.repository import git, lock
from versions.repository.lock import LOCK_FILE
from versions.results import changes, differences

BACK = f"git checkout HEAD -- {PARAMS_FILE} {LOCK_FILE} {METRICS} && dvc checkout"
"""The command that restores the state of the last commit."""

_PARTS = (str(PARAMS_FILE), str(LOCK_FILE), str(METRICS), "data", "models")
"""What a refresh changes, or a user may change after it stopped."""


def move(day: str) -> bool:
    """Write the date into `params.yaml`; returns whether that changed it.

    Raises:
        ParamsError: it is not a date, or `params.yaml` is wrong.
        VersionError: `params.yaml` has other changes that are not committed.
    """
    # First, so that a mistake in the file gets its own message.
    params.load()
    # Not read as text, to keep the line ends.
    text = PARAMS_FILE.read_bytes().decode("utf-8")
    new = as_of.moved(text, day)
    committed = (git.content("HEAD", PARAMS_FILE) or b"").decode("utf-8")
    # Once the date has moved, other changes may be corrections after the pipeline stopped.
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


def reproduce(*, whole: bool = False, keep_models: bool = False) -> bool:
    """Run `dvc repro` with its output visible; returns whether any output changed.

    Args:
        whole: first ask the source for the whole past again.
        keep_models: stop after `models/latest.parquet`, before the datasets.

    Raises:
        StageError: a stage failed.
    """
    before = LOCK_FILE.read_bytes() if LOCK_FILE.exists() else b""
    if whole:
        _run("stages.ingest", "--all")
        _run("dvc", "commit", "--quiet", "--force", "ingest")
    _run("versions.repository.quick_dvc", "repro", *(["latest"] if keep_models else []))
    return LOCK_FILE.read_bytes() != before


def _run(module: str, *arguments: str) -> None:
    sys.stdout.flush()
    process = subprocess.Popen([sys.executable, "-m", module, *arguments])  # noqa: S603  # no shell
    # The command gets Ctrl-C as well and ends in order; this process waits for it.
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        failed = process.wait()
    finally:
        signal.signal(signal.SIGINT, former)
    if failed:
        raise StageError(
            f"the pipeline stopped; {PARAMS_FILE} keeps the new date: mend what is named and type "
            f"the same again, or go back: {BACK}"
        )


def revised() -> str | None:
    """What the last ingest reported of revised bars; None if the bars are those of the commit."""
    committed = git.content("HEAD", LOCK_FILE)
    bars = lock.read().outs.get(str(RAW))
    same = committed is not None and lock.parse(committed).outs.get(str(RAW)) == bars
    if same or not REVISIONS_SUMMARY.exists():
        return None
    return REVISIONS_SUMMARY.read_text(encoding="utf-8").strip()


def behind(source: str, as_of: date, newest: date, sessions: Sequence[str]) -> str | None:
    """The message that a source lacks the bars of the last sessions; None if it has them.

    Args:
        as_of: the newest session that was asked for.
        newest: the session of the newest bar.
        sessions: ISO dates in order, from before `newest` to a year or more after it.
    """
    missing = sum(str(newest) < day <= str(as_of) for day in sessions)
    if not missing:
        return None
    more = " or more" if str(as_of) > sessions[-1] else ""
    return (
        f"{source} has no bars of the last {missing:,}{more} sessions up to {as_of}: "
        f"the newest is of {newest}. Refresh to that day, or again when they have come."
    )


def newest_bars() -> dict[str, str]:
    """The session of the newest bar of each symbol, from `models/latest.parquet`."""
    rows = tables.read(LATEST, ["symbol", "date", "market"]).filter(~pl.col("market"))
    newest = rows.group_by("symbol").agg(pl.col("date").max().cast(pl.String)).sort("symbol")
    return dict(newest.iter_rows())


def trained_up_to(horizons: Iterable[str]) -> dict[str, str]:
    """The `data.as_of` of the run that evaluated each horizon."""
    stages = lock.read().stages
    return {name: str(stages[f"evaluate@{name}"].params["data.as_of"]) for name in horizons}


def show(screen: Console, settings: Params, *, keep_models: bool = False) -> None:
    """Print what differs from the last commit, and how to keep it."""
    names, data = list(settings.horizons), settings.data
    present = changes.present(names)
    if keep_models:
        present = dataclasses.replace(present, newest=newest_bars())
    screen.print()
    differences.show(screen, changes.committed(names), present)
    newest = date.fromisoformat(max(present.newest.values()))
    sessions = json.loads(SESSIONS.read_text(encoding="utf-8"))["sessions"]
    late = behind(data.source, data.as_of, newest, sessions)
    if late is not None:
        screen.print()
        screen.print(Text(late, style="bold"))
    revisions = revised()
    if revisions is not None:
        screen.print()
        screen.print(Text(f"Revised by the source: {revisions}", style="bold"))
        screen.print(f"The whole list is in {REVISIONS}.")
    screen.print()
    if keep_models:
        screen.print("The models are behind on purpose:", style="bold")
        for horizon, day in trained_up_to(names).items():
            screen.print(f"  {horizon} knows the bars up to {day}")
        screen.print("A server forecasts from the new bars. `dvc status` lists the stages to come,")
        screen.print("`dvc repro` runs them, and a release needs that.")
        screen.print()
    else:
        for horizon in names:
            screen.print(report.forecasts_table(report.load(horizon).forecasts, horizon))
            screen.print()
    touched = git.changes()
    parts = [part for part in _PARTS if any(Path(name).is_relative_to(part) for name in touched)]
    screen.print("Keep it")
    screen.print(
        f'  git add {" ".join(parts)} && git commit -m "Refresh to {data.as_of}"', soft_wrap=True
    )
    screen.print("  make push")
    screen.print("Or go back")
    screen.print(f"  {BACK}", soft_wrap=True)


def main() -> None:
    """Move, reproduce, show."""
    parser = Parser(prog="python -m versions.refresh")
    parser.add_argument("day", metavar="AS_OF")
    parser.add_argument("--all", action="store_true", dest="whole")
    parser.add_argument("--keep", choices=("models",))
    arguments = parser.parse_args()
    keep_models = arguments.keep == "models"
    has_moved = move(arguments.day)
    has_changed = reproduce(whole=arguments.whole, keep_models=keep_models)
    if not has_moved and not has_changed:
        done = "the bars are there" if keep_models else "all of it is reproduced"
        sys.stdout.write(f"Nothing to do: data.as_of is {arguments.day}, and {done}.\n")
    if {str(PARAMS_FILE), str(LOCK_FILE)} & set(git.changes()):
        settings = params.load()
        console.page(lambda screen: show(screen, settings, keep_models=keep_models))


if __name__ == "__main__":
    run(main)
