"""`python -m serve migrate`: bring the tables of the prediction log up to date."""

import argparse
import sys
from typing import TYPE_CHECKING

from serve.settings import Settings

if TYPE_CHECKING:
    from serve.commands import Commands


def register(commands: "Commands") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "migrate",
        help="bring the tables of the prediction log up to date",
        description="Bring the tables of the prediction log (DATABASE_URL) up to date, all at once "
        "or not at all. SQLite needs it not: the server does it at start.",
    )
    parser.set_defaults(run=run)


def run(settings: Settings, _: argparse.Namespace) -> None:
    """Migrate, and say from which version to which.

    Raises:
        LogError: the database cannot be had, or refuses.
    """
    from predictions import migrate
    from predictions.engine import opened

    with opened(settings.log_url, settings.log_timeout, bounded=False) as engine:
        before, after = migrate.upgrade(engine)
        place = engine.url.render_as_string(hide_password=True)
    change = f"is at version {after}"
    if before != after:
        change = f"went from {f'version {before}' if before else 'no tables'} to version {after}"
    sys.stdout.write(f"the prediction log {place} {change}\n")
