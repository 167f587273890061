"""`python -m serve prune --keep-days N`: remove what is older."""

import argparse
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from serve.settings import Settings

if TYPE_CHECKING:
    from serve.commands import Commands

MOST_DAYS = 365 * 1000


def register(commands: "Commands") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "prune",
        help="remove old predictions and batches",
        description="Remove predictions that are older than N days from the prediction log, with "
        "their labels, and the files of batches as old. A server may run meanwhile.",
    )
    parser.add_argument("--keep-days", required=True, type=days, metavar="N")
    parser.add_argument("--dry-run", action="store_true", help="only say how much it would be")
    parser.set_defaults(run=run)


def days(text: str) -> int:
    """A number of days on the command line."""
    if not text.isdecimal() or not 1 <= int(text) <= MOST_DAYS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days, 1 or more")
    return int(text)


def run(settings: Settings, arguments: argparse.Namespace) -> None:
    """Remove, and say how much.

    Raises:
        LogError: the log cannot be had.
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
