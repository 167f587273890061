"""What happened when: printed as it happens, and kept as a table."""

import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stages.common import tables

STYLES = {
    "fault": "magenta",
    "drift": "yellow",
    "degraded": "yellow",
    "alert": "yellow",
    "promoted": "green",
    "rejected": "red",
    "rolled back": "red",
    "failed": "red",
}


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Attributes:
        day: the session, as the simulation counts.
        kind: such as `drift`, `promoted` or `rolled back`.
        subject: what it is about, such as a horizon or a version.
        detail: one sentence.
    """

    day: date
    kind: str
    subject: str
    detail: str


@dataclass
class Timeline:
    """Events in their order; each is printed as it comes."""

    events: list[Event] = field(default_factory=list)
    console: Console = field(default_factory=lambda: Console(highlight=False, soft_wrap=True))

    def add(self, day: date, kind: str, subject: str, detail: str) -> None:
        """Keep and print an event."""
        event = Event(day, kind, subject, " ".join(detail.split()))
        self.events.append(event)
        self.tell(f"{day}  {kind:<12} {subject}: {event.detail}", STYLES.get(kind, ""))

    def tell(self, line: str, style: str = "") -> None:
        """Print a line that is not an event."""
        self.console.print(Text(line, style=style))
        sys.stdout.flush()

    def write(self, folder: Path) -> None:
        """Write `events.csv` and `events.json`."""
        rows = [asdict(event) | {"day": str(event.day)} for event in self.events]
        with (
            tables.replacing(folder / "events.csv") as partial,
            partial.open("w", encoding="utf-8", newline="") as file,
        ):
            writer = csv.DictWriter(file, list(Event.__dataclass_fields__), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        with tables.replacing(folder / "events.json") as partial:
            partial.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def table(events: Sequence[Event]) -> Table:
    """What happened when."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in ("day", "what", "about", "how"):
        table.add_column(column, no_wrap=column != "how", overflow="fold")
    for event in events:
        style = STYLES.get(event.kind, "")
        table.add_row(str(event.day), event.kind, event.subject, Text(event.detail), style=style)
    return table
