"""`python -m serve export --to FILE.parquet`: the prediction log as a table."""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from serve.settings import Settings

if TYPE_CHECKING:
    from serve.commands import Commands


def register(commands: "Commands") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "export",
        help="write the prediction log to a Parquet file",
        description="Write the prediction log to a Parquet file: a row a prediction, oldest first, "
        "with its inputs and its label. The same rows give the same bytes.",
    )
    parser.add_argument("--to", required=True, type=Path, metavar="FILE.parquet")
    for name, help_ in (("from", "made then or later"), ("until", "made before")):
        parser.add_argument(
            f"--{name}",
            type=moment,
            metavar="TIME",
            help=f"{help_}: a date, or a moment in ISO 8601 (UTC unless it says otherwise)",
        )
    parser.set_defaults(run=run)


def moment(text: str) -> datetime:
    """A moment on the command line."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no date or moment; such as 2026-01-31 or 2026-01-31T12:00Z"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def run(settings: Settings, arguments: argparse.Namespace) -> None:
    """Export, and say how much.

    Raises:
        LogError: the log cannot be read, or the file cannot be written.
    """
    from predictions import export
    from predictions.engine import LogError, opened

    path: Path = arguments.to
    if path.is_dir():
        raise LogError(f"--to {path}: is a folder; name a file")
    since, until = getattr(arguments, "from"), arguments.until
    try:
        with opened(settings.log_url, settings.log_timeout, read_only=True, bounded=False) as log:
            rows = export.write(log, path, since, until)
    except OSError as error:
        raise LogError(f"--to {path}: cannot be written: {error.strerror or error}") from None
    sys.stdout.write(f"wrote {rows:,} predictions to {path}\n")
