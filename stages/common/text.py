"""Phrases that messages share."""

import difflib
from collections.abc import Iterable, Sequence

from stages.common.errors import few


def nearest(wanted: str, known: Iterable[str]) -> str:
    """Ask whether the nearest known name was meant: ` (did you mean sma?)`; empty if none is near.

    Upper and lower case count as the same.
    """
    by_fold = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(wanted.casefold(), by_fold, n=1)
    return f" (did you mean {by_fold[close[0]]}?)" if close else ""


def unknown(what: str, name: object, known: Sequence[str]) -> str:
    """Say that a name is unknown, and name the nearest one and all that are known."""
    return f"unknown {what} {name!r}{nearest(str(name), known)}; there are {few(known, 20)}"


def plural(count: int, noun: str) -> str:
    """A count with its noun: `1 bar`, `1,234 bars`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its type where it has no text."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__
