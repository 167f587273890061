"""`python -m monitor check`: one round, as the scheduler does it every few minutes."""

import argparse
import sys
from typing import TYPE_CHECKING

from monitor import settings as monitor_settings
from monitor.settings import Settings

if TYPE_CHECKING:
    from monitor.commands import Commands


def register(commands: "Commands") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "check",
        help="measure, check, and send what is not well: one round, for cron",
        description="Measure labels, drift and performance, check the health of everything, begin "
        "and end alerts, and send what is new. Exit status 0, whatever it finds.",
    )
    parser.set_defaults(run=run)


def run(settings: Settings, _: argparse.Namespace) -> None:
    """One round, and a line of what it did."""
    from monitor import checking_round

    done = checking_round.run(settings, monitor_settings.thresholds())
    sys.stdout.write(f"{done}\n")
