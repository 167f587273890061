"""Tables on a terminal, and the same as plain text in a pipe or a file."""

import sys
from collections.abc import Callable

from rich import box
from rich.console import Console
from rich.table import Table

PIPED_WIDTH = 120
"""Characters in a line of a pipe or a file."""

WIDE = 160
"""The same for tables with many columns."""


def table(title: str) -> Table:
    """A table in the style of every page."""
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


def fitting(build: Callable[[int], Table], most: int, width: int) -> Table:
    """The table with as many of its columns as fit into a width, and one at least.

    Args:
        build: makes the table with some number of columns.
        most: how many there are.
        width: of the screen, in characters.
    """
    for count in range(most, 1, -1):
        candidate = build(count)
        if Console(width=10 * width).measure(candidate).maximum <= width:
            return candidate
    return build(1)


def page(show: Callable[[Console], None], width: int = PIPED_WIDTH) -> None:
    """Print what `show` prints; to a pipe or a file without colours and trailing blanks.

    Args:
        show: prints on the console that it is given.
        width: characters in a line of a pipe or a file.
    """
    # A subject or a path may hold brackets, which are not markup.
    console = Console(highlight=False, markup=False, emoji=False)
    if console.is_terminal:
        show(console)
        return
    plain = Console(width=width, color_system=None, highlight=False, markup=False, emoji=False)
    with plain.capture() as captured:
        show(plain)
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())
