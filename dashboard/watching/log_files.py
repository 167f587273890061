"""Logs of this machine: which there are, and their newest lines, however long they are.

A log is read from its end in blocks, so that the newest lines of gigabytes come at once. A search
stops after a number of bytes, and the page says so.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dashboard.file_stamp import stamp

MOST: Final = 2_000
"""Lines that are shown."""

BOUND: Final = 200_000_000
"""Bytes that one search reads at most."""

_BLOCK = 4_000_000
_LINE = 16_000_000
"""Bytes of a line that is read as one; a longer one is shown in parts."""
_LONGEST = 20_000
"""Characters of a line that are shown."""

_PLACES = ("log/*.log", "*.log", "runs/*/log", "monitor/jobs/*.log", "monitor/workspaces/*.log")
_LEVELS: Final[dict[str, tuple[bytes, ...]]] = {
    "all": (),
    "warnings and errors": (b"warning", b"error", b"critical", b"traceback"),
    "errors": (b"error", b"critical", b"traceback"),
}
LEVELS: Final = tuple(_LEVELS)
"""Levels by which lines are chosen; a line that names none has one by its words."""

_NAMED = b'"level":"'


@dataclass(frozen=True)
class Tail:
    """The newest lines that match.

    Attributes:
        lines: the newest first.
        read: bytes that were read.
        size: of the log, with what was rotated.
        whole: whether everything was read; else there may be older lines.
    """

    lines: tuple[str, ...]
    read: int
    size: int
    whole: bool


def logs(var: Path) -> dict[str, Path]:
    """The logs in `var/` by their names in it, the newest first."""
    paths = {path for pattern in _PLACES for path in var.glob(pattern) if path.is_file()}
    # A log that is rotated meanwhile is the last.
    ordered = sorted(paths, key=lambda path: (-stamp(path)[0], path))
    return {path.relative_to(var).as_posix(): path for path in ordered}


def parts(path: Path) -> list[Path]:
    """The files of a log that is rotated, the newest first."""
    files = [path]
    while (older := path.with_name(f"{path.name}.{len(files)}")).exists():
        files.append(older)
    return files


def tail(
    path: Path, level: str = "all", text: str = "", bound: int = BOUND, most: int = MOST
) -> Tail:
    """The newest lines of a log that match.

    Args:
        path: of the log; what was rotated from it follows.
        level: of `LEVELS`.
        text: what a line must have, in capitals or not; empty for every line.
        bound: bytes after which no more are read.
        most: lines at most.
    """
    words, wanted = _LEVELS[level], text.encode().lower()
    matching: list[bytes] = []
    read, whole = 0, True
    files = parts(path)
    for block in _blocks(files):
        if len(matching) >= most or read >= bound:
            whole = False
            break
        read += len(block)
        matching += _matching(block, words, wanted, most - len(matching))
    whole = whole and len(matching) < most
    lines = tuple(line.decode(errors="replace")[:_LONGEST] for line in matching)
    return Tail(lines, read, sum(stamp(each)[1] for each in files), whole)


def _matching(block: bytes, words: Sequence[bytes], wanted: bytes, most: int) -> list[bytes]:
    """The lines of a block that match, the newest first.

    Args:
        block: of whole lines.
        words: of the level; none for every level.
        wanted: what a line must have, in lower case; empty for every line.
        most: lines at most.
    """
    if not words and not wanted:
        return [line for line in block.split(b"\n")[::-1] if line][:most]
    # Only the letters of ASCII are lowered, so that both have the same length.
    small = block.lower()
    # A search of bytes passes gigabytes a second; a loop over lines would take minutes for them.
    starts = {
        start
        for needle in _rarer(small, words, wanted)
        for start, line in _having(small, needle)
        if wanted in line and (not words or _is_of(line, words))
    }
    newest = sorted(starts, reverse=True)[:most]
    return [block[start : _end(block, start)] for start in newest]


def _rarer(block: bytes, words: Sequence[bytes], wanted: bytes) -> Sequence[bytes]:
    """What to look for first: the words of a level, or what is wanted."""
    if not wanted or not words:
        return (wanted,) if wanted else words
    return (wanted,) if block.count(wanted) < sum(map(block.count, words)) else words


def _having(block: bytes, needle: bytes) -> Iterator[tuple[int, bytes]]:
    """Begin and bytes of each line that has something."""
    at = block.find(needle)
    while at >= 0:
        start, end = block.rfind(b"\n", 0, at) + 1, _end(block, at)
        yield start, block[start:end]
        at = block.find(needle, end)


def _end(block: bytes, at: int) -> int:
    end = block.find(b"\n", at)
    return len(block) if end < 0 else end


def _is_of(line: bytes, words: Sequence[bytes]) -> bool:
    """Whether a line in lower case is of a level: of the one that it names, or by its words."""
    named = line.find(_NAMED)
    part = line if named < 0 else line[named + len(_NAMED) :][:10]
    return any(word in part for word in words)


def _blocks(files: Sequence[Path]) -> Iterator[bytes]:
    """Blocks of whole lines, the newest first; a log that is rotated meanwhile ends early.

    A line without end comes in parts: blocks that grow with it would take minutes and all memory.
    """
    for path in files:
        try:
            with path.open("rb") as file:
                end = file.seek(0, 2)
                rest = b""
                while end > 0:
                    begin = max(0, end - _BLOCK)
                    file.seek(begin)
                    block = file.read(end - begin) + rest
                    end = begin
                    if begin == 0:
                        yield block
                        break
                    cut = block.find(b"\n")
                    if cut < 0 and len(block) < _LINE:
                        rest = block
                        continue
                    rest = block[: max(cut, 0)]
                    yield block[cut + 1 :]
        except FileNotFoundError:
            return


def newest_bytes(path: Path, most: int) -> bytes:
    """The newest bytes of a log, from the beginning of a line."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - most))
        if size > most:
            file.readline()
        return file.read()
