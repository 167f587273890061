"""`python -m monitor run`: the scheduler."""

import argparse
from datetime import timedelta
from typing import TYPE_CHECKING

from monitor.commands import argument_types
from monitor.settings import Settings

if TYPE_CHECKING:
    from monitor.commands import Commands


def register(commands: "Commands") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "run",
        help="run checks, refreshes and retraining when they are due",
        description="Check every few minutes; after each close of the exchange bring the new bars "
        "in; retrain at weekends. Defaults are in params.yaml, monitor.schedule.",
    )
    parser.add_argument(
        "--every", type=argument_types.interval, metavar="5m", help="time between two checks"
    )
    parser.add_argument("--refresh", choices=("daily", "never"))
    parser.add_argument("--retrain", choices=("weekly", "monthly", "never"))
    parser.set_defaults(run=run)


def run(settings: Settings, arguments: argparse.Namespace) -> None:
    """Run until a signal comes."""
    from monitor import schedule, scheduler
    from monitor import settings as monitor_settings
    from stages.common.running import log
    from stages.common.sections import DataParams, Sections, load

    class Source(DataParams):
        source: str

    class Data(Sections):
        data: Source

    options = {name: getattr(arguments, name) for name in ("refresh", "retrain")}
    params = monitor_settings.thresholds().schedule.model_copy(
        update={name: value for name, value in options.items() if value is not None}
    )
    data = load(Data).data
    if data.source == "sample" and arguments.refresh is None:
        # Its bars end in the past: a refresh would only move a newcomer's checkout.
        params = params.model_copy(update={"refresh": "never"})
    every = arguments.every or timedelta(minutes=params.check_minutes)
    jobs = schedule.jobs(settings, params, data.calendar, every)
    log.info(
        "monitor: checks every %s, refreshes %s, retrains %s; its files are in %s",
        *(every, params.refresh, params.retrain, settings.folder),
    )
    scheduler.Scheduler(settings, jobs).run()
