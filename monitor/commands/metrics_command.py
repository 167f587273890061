"""`python -m monitor metrics`: what was measured over the last days."""

import argparse
import json
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

from monitor.commands import argument_types
from monitor.settings import Settings

if TYPE_CHECKING:
    from monitor.commands import Commands


def register(commands: "Commands") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "metrics",
        help="show what was measured over the last days",
        description="Show every number that the monitor measured over the last days: its first and "
        "last value, the least and the greatest.",
    )
    parser.add_argument("--days", type=argument_types.days, default=7, metavar="N")
    parser.add_argument("--name", action="append", default=[], help="only this metric; repeatable")
    parser.add_argument("--json", action="store_true", help="every measurement, one a line")
    parser.set_defaults(run=run)


def run(settings: Settings, arguments: argparse.Namespace) -> None:
    """Read and print."""
    from monitor.store import metric_history, records

    since = settings.clock - timedelta(days=arguments.days)
    with records.opened(settings, read_only=True) as engine, engine.connect() as connection:
        rows = metric_history.since(connection, since, arguments.name)
    if arguments.json:
        for at, name, value, tags in rows:
            row = {"at": at.isoformat(), "name": name, "value": value, "tags": tags}
            sys.stdout.write(json.dumps(row) + "\n")
        return
    if not rows:
        sys.stdout.write(f"nothing was measured since {since:%Y-%m-%d %H:%M} UTC\n")
        return
    from monitor.commands import console_tables

    console_tables.show(console_tables.metrics(rows))
