"""The server and its commands: `python -m serve --help`."""

import argparse
import os
import sys
from collections.abc import Sequence

from serve import settings
from serve.commands import registered, server
from stages.common.errors import StageError


def main(given: Sequence[str] | None = None) -> None:
    """Run the server, or one of its commands; an error is one line and exit status 1."""
    arguments = parser().parse_args(given)
    # Workers are processes of their own, and read their settings from the environment too.
    for name in ("host", "port", "workers"):
        if getattr(arguments, name, None) is not None:
            os.environ[f"SERVE_{name.upper()}"] = getattr(arguments, name)
    try:
        arguments.run(settings.load(), arguments)
    except StageError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(1) from None


def parser() -> argparse.ArgumentParser:
    """What can be asked on the command line."""
    found = argparse.ArgumentParser(
        prog="python -m serve",
        description="Serve forecasts of whatever model revision is checked out.",
        epilog="Settings are environment variables; docs/security.md lists them.",
    )
    found.set_defaults(run=server.run)
    for name in ("host", "port", "workers"):
        found.add_argument(f"--{name}", help=f"as SERVE_{name.upper()}")
    commands = found.add_subparsers(title="commands", metavar="COMMAND")
    for register in registered():
        register(commands)
    return found


if __name__ == "__main__":
    main()
