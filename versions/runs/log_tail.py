"""The end of a log, however long the log is."""

from dataclasses import dataclass
from pathlib import Path

BYTES = 64 * 1024
"""How much of the end is read."""


@dataclass(frozen=True)
class Tail:
    """The last lines of a log.

    Attributes:
        lines: whole ones; of a progress bar, its last state.
        size: of the log in bytes.
        cut: whether the log has lines before these.
    """

    lines: tuple[str, ...]
    size: int
    cut: bool


def read(path: Path, count: int = 400) -> Tail:
    """The last lines of a log, at most `count`; none if it is not there."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - BYTES))
            content = file.read(BYTES)
    except OSError:
        return Tail((), 0, cut=False)
    lines = content.decode("utf-8", "replace").split("\n")
    if size > BYTES:
        lines = lines[1:]
    visible = [line.rstrip("\r").rpartition("\r")[2] for line in lines]
    while visible and not visible[-1]:
        visible.pop()
    return Tail(tuple(visible[-count:]), size, cut=size > BYTES or len(visible) > count)
