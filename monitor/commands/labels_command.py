"""`python -m monitor labels`: store what came of the forecasts that fell due."""

import argparse
import sys
from typing import TYPE_CHECKING

from monitor.settings import Settings

if TYPE_CHECKING:
    from monitor.commands import Commands


def register(commands: "Commands") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "labels",
        help="store what came of the forecasts that fell due",
        description="Store the realised return of each forecast whose target session is in "
        "data/clean, correct such labels where their bars were restated, and show how many of the "
        "due forecasts have a label. Labels that came by POST /labels stay as they are.",
    )
    parser.set_defaults(run=run)


def run(settings: Settings, _: argparse.Namespace) -> None:
    """Store, and print the counts."""
    from monitor import due_labels
    from monitor.commands import console_tables
    from monitor.store import records

    with records.opened(settings) as engine:
        counts = due_labels.store(engine, settings)
    if not counts:
        sys.stdout.write("no forecast of the log is due by the newest session of data/clean\n")
        return
    console_tables.show(console_tables.labels(counts))
    for line in console_tables.label_remarks(counts):
        sys.stdout.write(f"{line}\n")
