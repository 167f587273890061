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
    console = Console(highlight=False)
    if console.is_terminal:
        show(console)
        return
    plain = Console(highlight=False, width=PIPED_WIDTH, color_system=None)
    with plain.capture() as captured:
        show(plain)
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())
