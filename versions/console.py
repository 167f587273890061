"""Tables on a terminal, and the same as plain text in a pipe or a file."""

import sys
from collections.abc import Callable

from rich import box
from rich.console import Console
from rich.table import Table

PIPED_WIDTH = 120
"""Characters in a line where no terminal says how wide it is."""


def table(title: str) -> Table:
    """A table as all pages here have them."""
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )


def page(show: Callable[[Console], None]) -> None:
    """Print what `show` prints; to a pipe or a file without colours and trailing blanks."""
    # What is printed is text of others: a subject or a path that has brackets keeps them.
    console = Console(highlight=False, markup=False, emoji=False)
    if console.is_terminal:
        show(console)
        return
    plain = Console(
        width=PIPED_WIDTH, color_system=None, highlight=False, markup=False, emoji=False
    )
    with plain.capture() as captured:
        show(plain)
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())
