"""Commands on the prediction log: `python -m serve migrate`, `export` and `prune`."""

import argparse
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from serve.server_settings import Settings

if TYPE_CHECKING:
    from serve.commands import Commands

MOST_DAYS = 365 * 1000


def register(commands: "Commands") -> None:
    """Add the commands."""
    parser = commands.add_parser(
        "migrate",
        help="bring the tables of the prediction log up to date",
        description="Bring the tables of the prediction log (DATABASE_URL) up to date, all at once "
        "or not at all. SQLite does not need it: the server does it at start.",
    )
    parser.set_defaults(run=migrate)

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
    parser.set_defaults(run=export)

    parser = commands.add_parser(
        "prune",
        help="remove old predictions and batches",
        description="Remove predictions that are older than N days from the prediction log, with "
        "their labels, and the files of batches as old. A server may run meanwhile.",
    )
    parser.add_argument("--keep-days", required=True, type=days, metavar="N")
    parser.add_argument("--dry-run", action="store_true", help="only say how much it would be")
    parser.set_defaults(run=prune)


def moment(text: str) -> datetime:
    """A moment on the command line."""
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a date or moment; such as 2026-01-31 or 2026-01-31T12:00Z"
        ) from None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def days(text: str) -> int:
    """A number of days on the command line."""
    if not text.isdecimal() or not 1 <= int(text) <= MOST_DAYS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days, 1 or more")
    return int(text)


def migrate(settings: Settings, _: argparse.Namespace) -> None:
    """Migrate, and say from which version to which.

    Raises:
        LogError: the database does not answer, or refuses.
    """
    from predictions import migrate
    from predictions.engine import opened, place

    with opened(settings.log_url, settings.log_timeout, bounded=False) as engine:
        before, after = migrate.upgrade(engine)
        log = place(engine)
    change = f"is at version {after}"
    if before != after:
        change = f"went from {f'version {before}' if before else 'no tables'} to version {after}"
    sys.stdout.write(f"the prediction log {log} {change}\n")


def export(settings: Settings, arguments: argparse.Namespace) -> None:
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


def prune(settings: Settings, arguments: argparse.Namespace) -> None:
    """Remove, and say how much.

    Raises:
        LogError: the database does not answer, or refuses.
    """
    from predictions import retention
    from predictions.engine import opened
    from serve.forecasts.batch_files import Store

    before = datetime.now(UTC) - timedelta(days=arguments.keep_days)
    store, dry = Store(settings.working_folder), arguments.dry_run
    with opened(settings.log_url, settings.log_timeout, read_only=dry, bounded=False) as log:
        predictions, labels = retention.count(log, before)
        if not dry:
            predictions = retention.prune(log, before)
    batches = store.older(before)
    for path in () if dry else batches:
        path.unlink(missing_ok=True)
    sys.stdout.write(
        f"{'would remove' if dry else 'removed'} {predictions:,} predictions ({labels:,} with a "
        f"label) and {len(batches):,} batches, made before {before.isoformat(timespec='seconds')}\n"
    )
