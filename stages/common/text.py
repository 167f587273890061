"""Phrases that messages share."""

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stages.common.errors import few


def nearest(wanted: str, known: Iterable[str]) -> str:
    """Ask whether the nearest known name was meant: ` (did you mean sma?)`; empty if none is near.

    Upper and lower case count as the same.
    """
    by_fold = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(wanted.casefold(), by_fold, n=1)
    return f" (did you mean {by_fold[close[0]]}?)" if close else ""


def unknown(what: str, name: object, known: Sequence[str]) -> str:
    """Say that a name is unknown, which one is near, and which there are."""
    return f"unknown {what} {name!r}{nearest(str(name), known)}; there are {few(known, 20)}"


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its type where it has no text."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def flat(content: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """The values of nested mappings by dotted key; a list or an empty mapping is one value."""
    values: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            values |= flat(value, f"{above}{key}.")
        else:
            values[f"{above}{key}"] = value
    return values


def compact(value: object) -> str:
    """A value as JSON without blanks, as `dvc exp run -S` takes it and tables show it."""
    return json.dumps(value, separators=(",", ":"))
