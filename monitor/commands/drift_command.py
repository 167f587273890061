"""`python -m monitor drift`: compare the newest forecasts with what their model was trained on."""

import argparse
import json
import sys
from typing import TYPE_CHECKING

from monitor.settings import Settings

if TYPE_CHECKING:
    from monitor.commands import Commands


def register(commands: "Commands") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "drift",
        help="compare the newest forecasts with what their model was trained on",
        description="Compare the features of the newest forecasts, and the forecasts themselves, "
        "with the training table of the revision that made them. Writes "
        "var/monitor/drift/<horizon>.json and, by Evidently, .html.",
    )
    parser.add_argument("--horizon", metavar="H", help="only this one")
    parser.add_argument("--json", action="store_true", help="one document a line")
    parser.set_defaults(run=run)


def run(settings: Settings, arguments: argparse.Namespace) -> None:
    """Check each horizon, and print what was found."""
    from monitor import gauges
    from monitor.commands import console_tables, drift_table
    from monitor.drift import drift_check
    from monitor.settings import thresholds
    from monitor.store import records
    from stages.common import sections
    from stages.common.sections import sessions

    params = sections.load(drift_check.Pipeline)
    if arguments.horizon is not None:
        sessions(params.horizons, arguments.horizon)
    chosen = [arguments.horizon] if arguments.horizon is not None else list(params.horizons)
    with records.opened(settings) as engine:
        for horizon in chosen:
            drift = drift_check.check(engine, settings, thresholds(), horizon, params.data.as_of)
            if arguments.json:
                sys.stdout.write(json.dumps(drift_check.document(drift)) + "\n")
                continue
            for line in drift_table.lines(drift):
                sys.stdout.write(f"{line}\n")
            if drift.comparison is not None:
                console_tables.show(drift_table.features(drift.comparison))
            if drift.predictions:
                console_tables.show(drift_table.predictions(drift.predictions))
        gauges.write(engine, settings)
