"""Search params by Bayesian optimisation: `python -m versions.search <horizon> [options]`.

    --trials N    trials of the study in all, those of former calls included (default 20)
    -j, --jobs N  trials that run at the same time (default 1)
    --seed N      of the sampler (default 0)

What may be tried stands under `search:` in params.yaml. Every trial is a DVC experiment, named
search-<study>-<number>, that runs beside the workspace and leaves it alone. The objective is
fold_oos_r2 of the horizon: skill on folds of the training rows, never on the hold-out.

A study belongs to a commit, a horizon and a seed; on another commit a new one begins. Ctrl-C stops
it, and the same command goes on where it stopped.
"""

import fcntl
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO

from rich.console import Console
from tqdm import tqdm

from stages.common import sections
from stages.common.errors import ParamsError, StageError, VersionError
from stages.common.running import Parser, log, run
from versions import console
from versions.experiments import SCORES, Row, scored
from versions.repository import git
from versions.tuning import space
from versions.tuning.study import Study, best, search
from versions.tuning.trial import OBJECTIVE, Experiments, Trial, check_cache, score

SHOWN = 5
"""Trials in the last table."""


def verdict(experiments: Experiments, done: Sequence[Trial], now: float | None) -> list[str]:
    """What the result is worth, and how to keep it."""
    failed = sum(trial.value is None for trial in done)
    logs = f"{failed} of {len(done)} trials failed; {experiments.logs} has their logs."
    lines = [logs] if failed else []
    first = best(done)[0]
    if now is not None and (first.value or 0.0) <= now:
        return [*lines, "No trial beats params.yaml as it is: there is nothing to keep."]
    return [
        *lines,
        f"The best of {len(done)} trials was chosen by the folds, and looks better there than it",
        "is. The hold-out had no say in the choice: read it once, for the one that you keep.",
        "",
        f"keep it       dvc exp apply {experiments.name(first.number)}",
        f"the hold-out  dvc metrics diff --targets metrics/{experiments.horizon}.json",
        "commit it     git commit --all",
    ]


def main() -> None:
    """Search, then show the best trials."""
    parser = Parser(prog="python -m versions.search")
    parser.add_argument("horizon")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("-j", "--jobs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    entries, current = space.load(sections.read(), arguments.horizon)
    if not entries:
        raise ParamsError(["search: is empty; name a key and what to try (docs/experiments.md)"])
    experiments = Experiments(arguments.horizon, git.commit(), arguments.seed)
    experiments.check_workspace()
    check_cache()
    experiments.logs.mkdir(parents=True, exist_ok=True)
    # SIGINT, too: polars replaces its handler, and then Ctrl-C does not end a wait for a process.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        with _alone(experiments) as lock:
            study = Study(experiments.journal, entries, arguments.seed)
            done = _search(experiments, study, arguments.trials, max(arguments.jobs, 1), lock)
    except KeyboardInterrupt:
        log.info("search: stopped; the same command goes on")
        raise SystemExit(130) from None
    if not done:
        return
    if not best(done):
        reason = done[-1].reason or f"what {experiments.logs} says"
        raise StageError(
            f"search: all {len(done)} trials failed, the last with: {reason}; mend `search:` in "
            "params.yaml and commit it"
        )
    key = (arguments.horizon, OBJECTIVE)
    rows = [
        Row(experiments.name(trial.number), "", {key: trial.value}, trial.values)
        for trial in best(done)[:SHOWN]
    ]
    try:
        now = score(experiments.head, arguments.horizon)
        rows.append(Row("params.yaml as it is", "", {key: now}, current))
    except VersionError:
        now = None

    def show(screen: Console) -> None:
        screen.print(scored(rows, SCORES[:1]))
        screen.print()
        for line in verdict(experiments, done, now):
            screen.print(line, soft_wrap=True)

    console.page(show, console.WIDE)


def _search(
    experiments: Experiments, study: Study, trials: int, jobs: int, lock: IO[str]
) -> list[Trial]:
    """Search with a progress bar."""
    ended = len(study.finished())
    log.info("search: %s: %d of %d trials so far", experiments.study, ended, trials)
    bar = tqdm(
        desc=f"search {experiments.study}",
        initial=min(ended, trials),
        total=trials,
        disable=not sys.stderr.isatty(),
        leave=False,
    )

    def say(line: str) -> None:
        bar.write(f"search: {line}", file=sys.stderr)
        bar.update()

    with bar:
        return search(study, trials, lambda new: experiments.run(new, lock), say, jobs)


@contextmanager
def _alone(experiments: Experiments) -> Iterator[IO[str]]:
    """Wait for other searches of the study, and for trials that a killed one left running."""
    with (experiments.logs / "search.lock").open("a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info(
                "search: waiting for another search of %s, or the trials that it left running",
                experiments.study,
            )
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file


if __name__ == "__main__":
    run(main)
