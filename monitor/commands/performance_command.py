"""`python -m monitor performance`: how good the forecasts were, and whether a model got worse."""

import argparse
import json
import sys
from typing import TYPE_CHECKING

from monitor.settings import Settings

if TYPE_CHECKING:
    from monitor.commands import Commands
    from monitor.performance.performance_check import Performance


def register(commands: "Commands") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "performance",
        help="score the forecasts whose outcome is known",
        description="Score the forecasts that have a label against the model's own hold-out and "
        "against a simple forecast, and judge whether the model got worse. Exit status 1: it did.",
    )
    parser.add_argument("--horizon", action="append", default=[], help="only this; repeatable")
    parser.add_argument("--json", action="store_true", help="everything, as JSON by horizon")
    parser.set_defaults(run=run)


def run(settings: Settings, arguments: argparse.Namespace) -> None:
    """Check and print."""
    from monitor import due_labels
    from monitor.performance import performance_check
    from monitor.settings import thresholds
    from monitor.store import records
    from stages.common import sections

    class Params(sections.Sections):
        horizons: sections.Horizons

    horizons = sections.load(Params).horizons
    for name in arguments.horizon:
        sections.sessions(horizons, name)
    today = due_labels.newest_session(due_labels.read_bars())
    wanted = thresholds()
    with records.opened(settings) as engine:
        performances = [
            performance_check.check(engine, settings, wanted, name, today)
            for name in arguments.horizon or horizons
        ]
    if arguments.json:
        content = {one.horizon: one.as_json() for one in performances}
        sys.stdout.write(json.dumps(content, indent=2) + "\n")
    else:
        for one in performances:
            _show(one)
    if any(one.degraded for one in performances):
        raise SystemExit(1)


def _show(performance: "Performance") -> None:
    from monitor.commands.console_tables import empty, number, show

    if performance.rows:
        columns = ("live", "95 % interval", "hold-out", "yardstick")
        table = empty(f"{performance.horizon}: score", *columns, numbers=columns)
        for name, score in performance.scores.items():
            ends = "-" if score.interval is None else "{:.4g} to {:.4g}".format(*score.interval)
            values = (number(score.held_out), number(score.yardstick))
            table.add_row(name, number(score.live), ends, *values)
        show(table)
        sys.stdout.write(
            f"{performance.rows:,} forecasts of {performance.dates:,} sessions, "
            f"{performance.first} to {performance.last}\n"
        )
    sys.stdout.writelines(f"{remark}\n" for remark in performance.remarks)
    sys.stdout.write(f"{performance.verdict}\n\n")
