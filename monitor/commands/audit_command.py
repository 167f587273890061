"""`python -m monitor restore`: rebuild the monitor's tables from the audit trail."""

import argparse
import sys
from typing import TYPE_CHECKING

from monitor.settings import Settings

if TYPE_CHECKING:
    from monitor.commands import Commands


def register(commands: "Commands") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "restore",
        help="rebuild the monitor's tables from the audit trail",
        description="Insert the rows of var/audit/ that the tables of the monitor lack, such as "
        "after the database was lost. Rows that are there stay as they are.",
    )
    parser.set_defaults(run=run)


def run(settings: Settings, _: argparse.Namespace) -> None:
    """Restore, and say how many rows."""
    from monitor.store import records

    with records.opened(settings) as engine:
        counts = records.restore(engine, settings.var / records.TRAIL)
    for name, rows in counts.items():
        sys.stdout.write(f"{name}: {rows:,} rows restored\n")
    if not counts:
        sys.stdout.write(f"{settings.var / records.TRAIL} has no audit trail\n")
