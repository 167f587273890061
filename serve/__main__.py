"""The server and its commands: `python -m serve --help`."""

import argparse
import os
import sys
from collections.abc import Sequence

from serve import server_settings
from serve.commands import key_command, log_commands, replay_command, server, settings_command
from stages.common.errors import StageError


def main(argv: Sequence[str] | None = None) -> None:
    """Run the server or one of its commands; an error is one line and exit status 1."""
    arguments = command_line().parse_args(argv)
    # Workers are other processes, and read their settings from the environment.
    for name in ("host", "port", "workers"):
        if getattr(arguments, name, None) is not None:
            os.environ[f"SERVE_{name.upper()}"] = getattr(arguments, name)
    try:
        arguments.run(server_settings.load(), arguments)
    except StageError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(1) from None


def command_line() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m serve",
        description="Serve forecasts of whatever model revision is checked out.",
        epilog="Settings are environment variables, or lines of the file .env here; "
        "docs/security.md lists them.",
    )
    parser.set_defaults(run=server.run)
    for name in ("host", "port", "workers"):
        parser.add_argument(f"--{name}", help=f"as SERVE_{name.upper()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for module in (key_command, replay_command, log_commands, settings_command):
        module.register(commands)
    return parser


if __name__ == "__main__":
    main()
