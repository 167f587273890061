"""The commands of `python -m monitor`.

Each module has a function `register(commands)`, which adds parsers and sets `run`, a function of
the settings and the arguments. Heavy modules are imported only when a command runs.
"""

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import argparse

    # argparse has no public name for the type that add_subparsers returns.
    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001
