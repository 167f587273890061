"""The commands of `python -m serve`, one module each.

A module has `register(commands)`, which adds its parser and sets `run`, a function of the settings
and the arguments. What is heavy it imports only when it runs: `--help` and the server need it not.
"""

import argparse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from serve.settings import Settings

if TYPE_CHECKING:
    # argparse gives the type of what add_subparsers returns no public name.
    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001

Run = Callable[[Settings, argparse.Namespace], None]


def registered() -> Sequence[Callable[["Commands"], None]]:
    """The `register` of every command, in the order of `--help`."""
    from serve.commands import (
        export_command,
        key_command,
        migrate_command,
        prune_command,
        replay_command,
    )

    return (
        key_command.register,
        migrate_command.register,
        replay_command.register,
        export_command.register,
        prune_command.register,
    )
