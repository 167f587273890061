"""The monitor's commands: `python -m monitor --help`."""

import argparse
from types import ModuleType

from monitor import settings
from monitor.commands import (
    alerts_command,
    audit_command,
    check_command,
    decision_command,
    drift_command,
    health_command,
    labels_command,
    metrics_command,
    models_command,
    performance_command,
    refresh_command,
    retrain_command,
    run_command,
    silence_command,
    simulate_command,
    up_command,
)
from stages.common.running import run

COMMANDS: tuple[ModuleType, ...] = (
    run_command,
    up_command,
    refresh_command,
    metrics_command,
    audit_command,
    labels_command,
    models_command,
    decision_command,
    retrain_command,
    alerts_command,
    check_command,
    health_command,
    silence_command,
    simulate_command,
    drift_command,
    performance_command,
)
"""In the order in which `--help` lists them."""


def command_line() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m monitor",
        description="Watch the forecasts that were served, and retrain, promote or roll back.",
        epilog="Thresholds are in params.yaml, settings in environment variables or the file .env; "
        "docs/self-healing.md explains them.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in COMMANDS:
        module.register(commands)
    return parser


def main() -> None:
    """Run the command of the command line; an error is one line and exit status 1."""
    # First: `run` itself would answer --help, with the docstring of this module.
    arguments = command_line().parse_args()
    run(lambda: arguments.run(settings.load(), arguments))


if __name__ == "__main__":
    main()
