"""Search params by Bayesian optimisation: `python -m versions.search <horizon> [options]`.

    --trials N   trials of the study in all, those of former calls included (default 20)
    --seed N     of the sampler (default 0)

What may be tried stands under `search:` in params.yaml. Every trial is a DVC experiment, named
search-<study>-<number>, that runs beside the workspace and leaves it alone. The objective is
fold_oos_r2 of the horizon: skill on folds of the training rows, never on the hold-out.

A study belongs to a commit, a horizon and a seed; on another commit a new one begins. Ctrl-C stops
it, and the same command goes on where it stopped.
"""

import signal
import sys
from argparse import ArgumentTypeError, Namespace
from collections.abc import Mapping, Sequence
from typing import IO, Any, NoReturn

from rich import box
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from stages import params
from stages.common.errors import ParamsError, VersionError
from stages.common.running import Parser, log, run
from versions.repository import git
from versions.tuning import space
from versions.tuning import trial as experiment
from versions.tuning.journal import Journal
from versions.tuning.study import Study, Tried, best, locked, search
from versions.tuning.trial import OBJECTIVE, Outcome

SHOWN = 5
"""Trials in the last table."""

PIPED_WIDTH = 160
"""Characters in a line where no terminal says how wide it is."""


def table(
    study: Study, done: Sequence[Tried], now: float | None, current: Mapping[str, Any]
) -> Table:
    """The best trials, and what the params of the commit come to.

    Args:
        study: that they are of.
        done: all its trials, at least one.
        now: the objective at the commit, if it has one.
        current: the values of the searched params there.
    """
    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    shown.add_column("experiment", no_wrap=True)
    shown.add_column(OBJECTIVE, justify="right", no_wrap=True)
    for key in done[0].values:
        # A long key breaks where its section ends.
        shown.add_column(key.replace(".", ".\n"), justify="right", no_wrap=True)
    for one in best(done)[:SHOWN]:
        cells = [space.text(value) for value in one.values.values()]
        shown.add_row(study.experiment(one.trial.number), f"{one.trial.value:+.5f}", *cells)
    if now is not None:
        shown.add_row("params.yaml as it is", f"{now:+.5f}", *map(space.text, current.values()))
    return shown


def verdict(study: Study, done: Sequence[Tried], now: float | None) -> list[str]:
    """What the result is worth, and how to keep it."""
    lines = []
    failed = sum(one.trial.value is None for one in done)
    if failed:
        lines.append(f"{failed} of {len(done)} trials failed; {study.logs} has their logs.")
    first = best(done)[0]
    if now is not None and (first.trial.value or 0.0) <= now:
        return [*lines, "No trial beats params.yaml as it is: there is nothing to keep."]
    return [
        *lines,
        f"The best of {len(done)} trials was chosen by the folds, and looks better there than it",
        "is. The hold-out had no say in the choice: read it once, for the one that you keep.",
        "",
        f"keep it       dvc exp apply {study.experiment(first.trial.number)}",
        f"the hold-out  dvc metrics diff --targets metrics/{study.horizon}.json",
        "commit it     git commit --all",
    ]


def _arguments() -> Namespace:
    parser = Parser(prog="python -m versions.search")
    parser.add_argument("horizon")
    parser.add_argument("--trials", type=_count, default=20)
    parser.add_argument("--seed", type=_count, default=0)
    return parser.parse_args()


def _count(text: str) -> int:
    if not text.isdecimal():
        raise ArgumentTypeError(f"must be a whole number, got {text!r}")
    return int(text)


def main() -> None:
    """Search, then show the best trials."""
    asked = _arguments()
    content = params.read()
    settings = params.parse(content)
    settings.sessions(asked.horizon)
    entries = params.search_space(content)
    if not entries:
        raise ParamsError(["search: is empty; name a key and what to try (docs/experiments.md)"])
    study = Study(asked.horizon, git.commit(), asked.seed)
    study.check_workspace()
    study.logs.mkdir(parents=True, exist_ok=True)
    # SIGINT, too: polars takes it over, and then a wait for a process does not end by it.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    refusal = f"another search of {study.name} is running; let it end, or stop it"
    waiting = "search: waiting for the trial that a killed search left running"
    with (
        locked(study.logs / "search.lock", refusal=refusal),
        locked(study.logs / "trial.lock", waiting=waiting) as lock,
    ):
        journal = Journal(study.journal, space.distributions(entries), study.seed)
        log.info(
            "search: %s: %d of %d trials so far", study.name, len(journal.finished()), asked.trials
        )
        done = _with_progress(study, journal, entries, asked.trials, lock)
    if done:
        sections = dict(settings)
        _show(study, done, {key: space.typed(key, sections) for key in entries})


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _with_progress(
    study: Study, journal: Journal, entries: Mapping[str, space.Entry], trials: int, lock: IO[str]
) -> list[Tried]:
    """Search with a bar that shows the best value so far."""

    def attempt(number: int, values: Mapping[str, Any]) -> Outcome:
        return study.attempt(number, values, lock)

    with tqdm(
        desc=f"search {study.name}",
        initial=min(len(journal.finished()), trials),
        total=trials,
        unit="trial",
        disable=not sys.stderr.isatty(),
        leave=False,
    ) as bar:

        def say(line: str) -> None:
            tqdm.write(f"search: {line}", file=sys.stderr)
            bar.set_postfix_str(_best_so_far(journal), refresh=False)
            bar.update()

        bar.set_postfix_str(_best_so_far(journal))
        try:
            return search(journal, entries, trials, attempt, say)
        except KeyboardInterrupt:
            bar.close()
            log.info("search: stopped; the same command goes on")
            raise SystemExit(130) from None


def _best_so_far(journal: Journal) -> str:
    values = [trial.value for trial in journal.finished() if trial.value is not None]
    return f"best {max(values):+.5f}" if values else ""


def _show(study: Study, done: Sequence[Tried], current: Mapping[str, Any]) -> None:
    try:
        now = experiment.score(study.head, study.horizon)
    except VersionError:
        now = None
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PIPED_WIDTH, color_system=None)
    console.print(table(study, done, now, current))
    console.print()
    for line in verdict(study, done, now):
        console.print(line, soft_wrap=True)


if __name__ == "__main__":
    run(main)
