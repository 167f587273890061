"""`python -m serve keys`: make, list and remove the keys of the API."""

import argparse
from typing import TYPE_CHECKING

from serve.settings import Settings

if TYPE_CHECKING:
    from serve.commands import Commands


def register(commands: "Commands") -> None:
    """Add the command."""
    parser = commands.add_parser("keys", help="make, list and remove keys of the API")
    parser.set_defaults(run=run)


def run(settings: Settings, arguments: argparse.Namespace) -> None:
    """Do what was asked with the file of keys."""
    del settings, arguments
