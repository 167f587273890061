"""The S3 remote: where it is, push, pull, and mending what is broken in it.

    python -m versions.remote set s3://bucket/path [--endpoint https://host]   make remote
    python -m versions.remote check
    python -m versions.remote push [--jobs N] [PATH ...]                       make push
    python -m versions.remote pull [--jobs N] [PATH ...]                       make pull
    python -m versions.remote heal                                             make heal

Credentials come from the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), from ~/.aws or
from .dvc/config.local. Plain `dvc push` and `dvc pull` use the same remote; see docs/sharing.md.
"""

import os
from argparse import ArgumentTypeError, Namespace

from stages.common.errors import VersionError, few
from stages.common.running import Parser, log, run
from versions.storage import faults, heal, remote_config, transfer
from versions.storage.heal import Healed


def parser() -> Parser:
    """The command line."""
    made = Parser()
    commands = made.add_subparsers(dest="command", required=True)
    assign = commands.add_parser("set")
    assign.add_argument("url")
    assign.add_argument("--endpoint", default="")
    commands.add_parser("check")
    for name in ("push", "pull"):
        moving = commands.add_parser(name)
        moving.add_argument("paths", nargs="*")
        moving.add_argument("--jobs", "-j", type=_positive)
    commands.add_parser("heal")
    return made


def main() -> None:
    """Do what the command line asks.

    Raises:
        VersionError: it cannot be done, or was interrupted.
    """
    given = parser().parse_args()
    # Of botocore, below the five of DVC: with its own five, a server in trouble is asked 25 times.
    os.environ.setdefault("AWS_MAX_ATTEMPTS", "3")
    try:
        do(given)
    except KeyboardInterrupt:
        raise VersionError(
            f"{given.command} was interrupted: what is done is whole and stays, type it again"
        ) from None


def do(given: Namespace) -> None:
    """Do what the command line asks."""
    if given.command == "set":
        remote_config.assign(given.url, given.endpoint or None)
        log.info("remote: %s is written to %s", given.url, remote_config.LOCAL)
    with remote_config.opened() as there:
        if given.command in {"set", "check"}:
            faults.check(there)
            log.info("remote: %s answers", there.endpoint or "AWS S3")
        elif given.command == "push":
            count = transfer.push(there, given.paths, given.jobs)
            log.info("push: the bucket has all %s objects of this revision", count)
        elif given.command == "pull":
            count = transfer.pull(there, given.paths, given.jobs)
            log.info("pull: all %s objects of this revision are here", count)
        else:
            faults.check(there)
            report(heal.heal(there))


def _positive(word: str) -> int:
    number = int(word)
    if number < 1:
        raise ArgumentTypeError(f"must be 1 or more, got {word}")
    return number


def report(healed: Healed) -> None:
    """Say what was done.

    Raises:
        VersionError: objects are still missing in the bucket.
    """
    broken = len(healed.mended) + len(healed.deleted) + len(healed.absent)
    log.info(
        "heal: read %s objects in the bucket, %s",
        healed.read,
        f"{broken} broken or missing" if broken else "all whole",
    )
    for what, items in (
        ("written anew", healed.mended),
        ("deleted in the bucket, its bytes were wrong", healed.deleted),
        ("deleted in the cache of this clone, its bytes were wrong", healed.dropped),
    ):
        for item in items:
            log.info("heal: %s: %s (%s)", item.name, what, item.oid)
    lost = [item.name for item in (*healed.deleted, *healed.absent)]
    if lost:
        raise VersionError(
            f"the bucket lacks {few(lost, 3)} and no whole copy is here: run `make heal` in a "
            "clone that has them, or `dvc repro` and `make heal` here"
        )


if __name__ == "__main__":
    run(main)
