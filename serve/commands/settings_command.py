"""`python -m serve settings`: every setting, its value, and where it came from."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from serve import server_settings
from serve.server_settings import Settings

if TYPE_CHECKING:
    from serve.commands import Commands

HIDDEN = "***"


def register(commands: "Commands") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "settings",
        help="show every setting, its value, and where it came from",
        description="Show every setting, its value (secrets are hidden), and where it came from: "
        "the command line, the environment, the file .env here, or the default.",
    )
    parser.set_defaults(run=run)


def run(settings: Settings, arguments: argparse.Namespace) -> None:
    """Print the settings, one a line."""
    rows = [
        (server_settings.variable(field), _text(field, value), _origin(field, arguments))
        for field, value in settings
    ]
    widths = [max(len(row[place]) for row in rows) for place in (0, 1)]
    for name, value, origin in rows:
        sys.stdout.write(f"{name:{widths[0]}}  {value:{widths[1]}}  {origin}\n")


def _origin(field: str, arguments: argparse.Namespace) -> str:
    if getattr(arguments, field, None) is not None:
        return "command line"
    return server_settings.origin(field)


def _text(field: str, value: object) -> str:
    match value:
        case None | "" | () | Path(parts=()):
            return ""
        case bool():
            return str(value).lower()
        case tuple():
            return ",".join(value)
    text = str(value)
    if field == "keys":
        return HIDDEN
    return _without_secrets(text) if field == "database_url" else text


def _without_secrets(url: str) -> str:
    """The URL of a database without its password and its options, which may have another."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
    except ArgumentError:
        return HIDDEN
    masked = parsed.set(query={}).render_as_string(hide_password=True)
    return f"{masked}?{HIDDEN}" if parsed.query else masked
