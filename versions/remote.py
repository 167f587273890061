"""The remote of data and models: where it is, push, pull, and heal.

    python -m versions.remote set s3://bucket/path [--endpoint https://host]   make remote
    python -m versions.remote check
    python -m versions.remote push [--jobs N] [PATH ...]                       make push
    python -m versions.remote pull [--jobs N] [PATH ...]                       make pull
    python -m versions.remote heal                                             make heal

Credentials come from the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), from ~/.aws or
from .dvc/config.local. Plain `dvc push` and `dvc pull` use the same remote; see docs/sharing.md.
"""

from stages.common.errors import VersionError
from stages.common.running import Parser, log, run
from versions.storage import faults, remote_config, transfers


def main() -> None:
    """Run the command of the command line."""
    parser = Parser()
    commands = parser.add_subparsers(dest="command", required=True)
    assign = commands.add_parser("set")
    assign.add_argument("url")
    assign.add_argument("--endpoint", default="")
    for name in ("check", "heal"):
        commands.add_parser(name)
    for name in ("push", "pull"):
        command = commands.add_parser(name)
        command.add_argument("paths", nargs="*")
        command.add_argument("--jobs", "-j", type=int)
    arguments = parser.parse_args()
    if arguments.command == "set":
        remote_config.assign(arguments.url, arguments.endpoint or None)
        log.info("remote: %s is written to %s", arguments.url, remote_config.LOCAL)
    try:
        with remote_config.opened() as remote:
            if arguments.command in {"push", "heal"}:
                if arguments.command == "push":
                    sent = transfers.push(remote, arguments.paths, arguments.jobs)
                else:
                    sent = transfers.heal(remote)
                log.info(
                    "%s: the remote has all %s objects, %s of them sent now",
                    *(arguments.command, sent.objects, sent.pushed),
                )
            elif arguments.command == "pull":
                count = transfers.pull(remote, arguments.paths, arguments.jobs)
                log.info("pull: all %s objects are here", count)
            else:
                faults.check(remote)
                log.info("remote: %s answers", remote.server if remote.is_s3 else remote.url)
    except KeyboardInterrupt:
        raise VersionError(
            f"{arguments.command} was interrupted: what has arrived stays, run it again for the "
            "rest"
        ) from None


if __name__ == "__main__":
    run(main)
