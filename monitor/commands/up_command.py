"""`python -m monitor up`: server, monitor and dashboard together."""

import argparse
import os
import sys
from typing import TYPE_CHECKING

from monitor.settings import Settings

if TYPE_CHECKING:
    from monitor.commands import Commands


def register(commands: "Commands") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "up",
        help="run server, monitor and dashboard together",
        description="Run `python -m serve`, `python -m monitor run` and `python -m dashboard`; one "
        "Ctrl-C ends all, and if one ends, so do the others.",
    )
    parser.set_defaults(run=run)


def run(settings: Settings, _: argparse.Namespace) -> None:
    """Run all three."""
    from monitor import side_by_side

    # So that their lines come as they are written.
    os.environ["PYTHONUNBUFFERED"] = "1"
    python = sys.executable
    side_by_side.run(
        {
            "server": (python, "-m", "serve"),
            "monitor": (python, "-m", "monitor", "run"),
            "dashboard": (python, "-m", "dashboard"),
        },
        log_file=settings.var / side_by_side.LOG,
    )
