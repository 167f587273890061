"""What a run changed since the last commit, as tables for the terminal."""

from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from stages.common.errors import few
from stages.common.paths import REJECTED
from versions import console
from versions.results import changes
from versions.results.changes import Pair, Results
from versions.results.formats import COLUMNS, FOLDS, change, number

SYMBOLS = 20
"""Series that are shown; the totals count all."""

COUNTS = ("read", "kept", "rejected")

SHOWN = {column.name: column for column in (*COLUMNS, FOLDS)}


def show(screen: Console, before: Results, after: Results) -> None:
    """Print what differs between the results of the commit and those of the working tree."""
    screen.print(rows_table(changes.rows(before, after)))
    for reason, pair in changes.reasons(before, after).items():
        screen.print(f"rejected, {reason}: {_count(pair)}; see {REJECTED}")
    screen.print()
    screen.print(scores_table(changes.scores(before, after)))
    screen.print()
    screen.print(quality_table(changes.quality(before, after)))


def rows_table(rows: Mapping[tuple[str, str], Mapping[str, Pair]]) -> Table:
    """The rows of every series, each with the difference."""
    table = console.table("Rows, and how many more than in the last commit")
    for title in ("kind", "symbol"):
        table.add_column(title)
    for title in ("raw", "clean", "rejected", "newest", "was"):
        table.add_column(title, justify="right", no_wrap=True)
    for key, row in list(rows.items())[:SYMBOLS]:
        newest = (value or "-" for value in reversed(row["newest"]))
        table.add_row(*key, *(_count(row[name]) for name in COUNTS), *newest)
    for kind in dict.fromkeys(kind for kind, _ in rows):
        own = [row for key, row in rows.items() if key[0] == kind]
        sums = (
            Pair(*(sum(row[name][side] or 0 for row in own) for side in (0, 1))) for name in COUNTS
        )
        table.add_row(kind, "all", *map(_count, sums), style="bold")
    if len(rows) > SYMBOLS:
        table.caption = f"and {len(rows) - SYMBOLS:,} more series"
    return table


def _count(pair: Pair) -> str:
    before, after = pair
    if after is None:
        return f"- (was {before:,})"
    if before is None:
        return f"{after:,} (new)"
    return f"{after:,}" + (f" ({after - before:+,})" if after != before else "")


def scores_table(scores: dict[tuple[str, str], Pair]) -> Table:
    """The scores of the served forecasts on the hold-out."""
    table = console.table("Scores of the served forecasts on the hold-out")
    for title in ("horizon", "score"):
        table.add_column(title)
    for title in ("was", "is", "change"):
        table.add_column(title, justify="right", no_wrap=True)
    above = None
    for (horizon, name), (before, after) in scores.items():
        column = SHOWN[name]
        table.add_row(
            "" if horizon == above else horizon,
            column.title,
            *(number(value, column.format) for value in (before, after)),
            change(before, after, column.format),
        )
        above = horizon
    return table


def quality_table(quality: Iterable[tuple[str, Pair, tuple[str, ...]]]) -> Table:
    """The share of expectations that each table meets."""
    table = console.table("Validation, % that holds")
    table.add_column("table")
    for title in ("was", "is"):
        table.add_column(title, justify="right")
    table.add_column("fails")
    for name, pair, failed in quality:
        percents = ("-" if value is None else f"{value:.2f}" for value in pair)
        table.add_row(name, *percents, Text(few(failed)))
    return table
