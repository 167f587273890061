"""`python -m monitor refresh`: bring the newest bars in, without retraining, and store labels."""

import argparse
import sys
from typing import TYPE_CHECKING

from monitor.commands import argument_types
from monitor.settings import Settings

if TYPE_CHECKING:
    from monitor.commands import Commands


def register(commands: "Commands") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "refresh",
        help="bring the newest bars into the checkout, without retraining",
        description="Bring the bars up to the newest session that has closed into the checkout, "
        "leave the models as they are, and commit; then store the labels that fell due. A running "
        "server follows.",
    )
    parser.add_argument(
        "--day", type=argument_types.day, help="the newest session; by default the last to close"
    )
    parser.set_defaults(run=run)


def run(settings: Settings, arguments: argparse.Namespace) -> None:
    """Refresh, and say up to when."""
    from monitor import due_labels, exchange_hours, refreshing
    from monitor.store import records
    from stages.common.sections import DataParams, Sections, load

    class Data(Sections):
        data: DataParams

    data = load(Data).data
    day = arguments.day or exchange_hours.newest_closed(data.calendar, settings.clock)
    newest = refreshing.refresh(settings, day, data.as_of)
    if newest is None:
        sys.stdout.write(f"nothing to do: the checkout knows the bars up to {data.as_of}\n")
    else:
        sys.stdout.write(f"refreshed to {newest}\n")
    with records.opened(settings) as engine:
        due_labels.store(engine, settings)
