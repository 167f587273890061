"""The commands of `python -m serve`.

Each has a function `register(commands)`, which adds its parser and sets `run`, a function of the
settings and the arguments. Heavy modules are imported only when a command runs: `--help` and the
server do not need them.
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
    from serve.commands import key_command, log_commands, replay_command

    return (
        key_command.register,
        log_commands.register_migrate,
        replay_command.register,
        log_commands.register_export,
        log_commands.register_prune,
    )
