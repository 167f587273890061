"""`python -m monitor health`: whether everything is well."""

import argparse
import json
import sys
from typing import TYPE_CHECKING

from monitor import settings as monitor_settings
from monitor.settings import Settings

if TYPE_CHECKING:
    from monitor.commands import Commands


def register(commands: "Commands") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "health",
        help="check log, models, data, drift, performance, labels, machine and scheduler",
        description="Check everything that the forecasts depend on; exit status 0: all is well, 1: "
        "a warning, 2: something is critical. The report is also kept in var/monitor/health.json.",
    )
    parser.add_argument("--json", action="store_true", help="the report as JSON")
    parser.set_defaults(run=run)


def run(settings: Settings, arguments: argparse.Namespace) -> None:
    """Check, print, and exit with the worst status."""
    from monitor.alerts import channel_check
    from monitor.checking_round import reached
    from monitor.health import health_check
    from monitor.health.verdicts import ORDER

    thresholds = monitor_settings.thresholds()
    now = settings.clock
    with reached(settings) as log:
        others = [channel_check.check(settings)]
        health = health_check.check(log, settings, thresholds, now, others)
    if arguments.json:
        content = {"at": now.isoformat(), **health.document()}
        sys.stdout.write(json.dumps(content, indent=1) + "\n")
    else:
        from monitor.commands import console_tables, health_table

        console_tables.show(health_table.of(health))
    sys.stdout.flush()
    raise SystemExit(ORDER.index(health.worst))
