"""`python -m monitor up`: server and monitor together."""

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
        help="run server and monitor together",
        description="Run `python -m serve` and `python -m monitor run`; one Ctrl-C ends both, and "
        "if one ends, so does the other.",
    )
    parser.set_defaults(run=run)


def run(_: Settings, __: argparse.Namespace) -> None:
    """Run both."""
    from monitor import side_by_side

    # Their lines come as they are written.
    os.environ["PYTHONUNBUFFERED"] = "1"
    python = sys.executable
    side_by_side.run(
        {"server": (python, "-m", "serve"), "monitor": (python, "-m", "monitor", "run")}
    )
