"""`python -m monitor silence`: send nothing of some rules during planned work."""

import argparse
import sys
from typing import TYPE_CHECKING

from monitor.settings import MonitorError, Settings, who

if TYPE_CHECKING:
    from monitor.commands import Commands


def register(commands: "Commands") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "silence",
        help="send no alerts of some rules for a while; list or remove silences",
        description="Record alerts of some rules without sending them, during planned work; "
        "without options, list what is silent. What still goes on when the silence ends is sent.",
    )
    parser.add_argument("--for", dest="span", metavar="TIME", help="such as 2h, 30m or 1d12h")
    parser.add_argument("--rule", default="*", help="a rule, or a pattern such as 'drift*'")
    parser.add_argument("--reason", help="why")
    parser.add_argument("--remove", metavar="ID", help="end a silence")
    parser.set_defaults(run=run)


def run(settings: Settings, arguments: argparse.Namespace) -> None:
    """Add, remove or list."""
    from monitor.alerts import silences
    from monitor.alerts.silences import Silence

    now, folder = settings.clock, settings.folder
    if arguments.remove:
        removed = silences.remove(folder, arguments.remove, now)
        sys.stdout.write(f"{removed.rule} is sent again\n")
    elif arguments.span:
        if not arguments.reason:
            raise MonitorError("--reason: say why, such as --reason 'the database moves'")
        new = Silence(
            id=silences.new_id(),
            rule=arguments.rule,
            reason=arguments.reason,
            by=who(),
            since=now,
            until=now + silences.span(arguments.span),
        )
        silences.add(folder, new, now)
        sys.stdout.write(
            f"silence {new.id}: {new.rule} is recorded and not sent until "
            f"{new.until:%Y-%m-%d %H:%M} UTC\n"
        )
    elif arguments.reason or arguments.rule != "*":
        raise MonitorError("--for: say how long, such as --for 2h")
    else:
        _list(settings)


def _list(settings: Settings) -> None:
    from rich.markup import escape

    from monitor.alerts import silences
    from monitor.commands import console_tables

    known = [each for each in silences.read(settings.folder) if each.until > settings.clock]
    if not known:
        sys.stdout.write("nothing is silent\n")
        return
    table = console_tables.empty("id", "rule", "until (UTC)", "by", "reason")
    for each in known:
        until = f"{each.until:%Y-%m-%d %H:%M}"
        table.add_row(each.id, escape(each.rule), until, escape(each.by), escape(each.reason))
    console_tables.show(table)
