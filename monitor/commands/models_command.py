"""`python -m monitor models`: where each model was put, and when."""

import argparse
import sys
from typing import TYPE_CHECKING

from monitor.settings import Settings

if TYPE_CHECKING:
    from monitor.commands import Commands


def register(commands: "Commands") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "models",
        help="show where each model was put, and when",
        description="Show each time that a model was trained, put in shadow or in canary, "
        "promoted, rejected or rolled back, oldest first.",
    )
    parser.add_argument("--horizon", metavar="NAME", help="only of this horizon")
    parser.set_defaults(run=run)


def run(settings: Settings, arguments: argparse.Namespace) -> None:
    """Read and print."""
    from monitor.commands import console_tables
    from monitor.store import records

    with records.opened(settings, read_only=True) as engine, engine.connect() as connection:
        rows = records.places(connection, arguments.horizon)
    if not rows:
        of = f" of {arguments.horizon}" if arguments.horizon else ""
        sys.stdout.write(f"no model{of} was put anywhere yet\n")
        return
    console_tables.show(console_tables.places(rows))
