"""Tables on the terminal: aligned on a screen, plain lines in a pipe."""

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from sqlalchemy import RowMapping

from monitor.store.metric_history import Measurement
from stages.common.errors import few

if TYPE_CHECKING:
    from monitor.label_counts import LabelCounts


def show(table: Table) -> None:
    """Print a table."""
    console = Console(highlight=False)
    if console.is_terminal:
        console.print(table)
        return
    plain = Console(highlight=False, width=200, color_system=None)
    with plain.capture() as captured:
        plain.print(table)
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def empty(*columns: str, numbers: Sequence[str] = ()) -> Table:
    """An empty table; the columns of numbers are aligned to the right."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left")
    return table


def number(value: float | None) -> str:
    """A number as tables show it."""
    return "-" if value is None else f"{value:.6g}"


def metrics(rows: Sequence[Measurement]) -> Table:
    """One row a metric and its tags: how often it was measured, first, last, least, greatest."""
    grouped: dict[tuple[str, str], list[Measurement]] = {}
    for row in rows:
        tags = " ".join(f"{name}={value}" for name, value in sorted(row[3].items()))
        grouped.setdefault((row[1], tags), []).append(row)
    columns = ("times", "first", "last", "least", "greatest")
    table = empty("metric", "of", *columns, "at", numbers=columns)
    for (name, tags), measured in sorted(grouped.items()):
        values = [value for _, _, value, _ in measured if value is not None]
        ends = (measured[0][2], measured[-1][2])
        extremes = (min(values, default=None), max(values, default=None))
        table.add_row(
            name,
            tags,
            f"{len(measured):,}",
            *(number(value) for value in (*ends, *extremes)),
            f"{measured[-1][0]:%Y-%m-%d %H:%M}",
        )
    return table


def places(rows: Sequence[RowMapping]) -> Table:
    """One row for each time that a model was put somewhere."""
    table = empty("at", "horizon", "place", "version", "model", "commit", "decision")
    for row in rows:
        table.add_row(
            f"{row['created_at']:%Y-%m-%d %H:%M}",
            *(row["horizon"], row["place"], row["version"] or "-"),
            *(row["model_md5"][:8], row["commit"][:8], row["decision_id"] or "-"),
        )
    return table


def labels(counts: Sequence["LabelCounts"]) -> Table:
    """One row a horizon."""
    numbers = ("due", "labelled", "coverage", "of all", "new", "corrected", "no bar", "days late")
    table = empty("horizon", *numbers, numbers=numbers)
    for one in counts:
        table.add_row(
            one.horizon,
            *(f"{value:,}" for value in (one.due, one.labelled)),
            *(percent(share) for share in (one.coverage, one.coverage_all)),
            *(f"{value:,}" for value in (one.stored, one.corrected, one.lacking)),
            number(one.lateness),
        )
    return table


def label_remarks(counts: Sequence["LabelCounts"]) -> Iterator[str]:
    """What a user should look at, a sentence each."""
    for one in counts:
        if one.without_bar:
            bars = [f"{symbol} {session}" for symbol, session in one.without_bar]
            yield (
                f"{one.horizon}: {one.lacking:,} due forecasts have no label, since data/clean has "
                f"no bar of {few(bars)}"
            )
        if one.disagreeing:
            yield (
                f"{one.horizon}: {one.disagreeing:,} labels by others differ from data/clean; they "
                "stay as they are"
            )


def percent(share: float | None) -> str:
    """A share as tables show it."""
    return "-" if share is None else f"{share:.1%}"
