"""Names that were asked for and are not there, with those that may have been meant."""

import difflib
from collections.abc import Iterable, Sequence

from stages.common.errors import SourceError, few


def nearest(wanted: str, known: Iterable[str]) -> str:
    """A question that names the nearest of the known names, or nothing."""
    by_fold = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(wanted.casefold(), by_fold, n=3)
    return f"did you mean {' or '.join(by_fold[name] for name in close)}? " if close else ""


def check(wanted: Sequence[str], known: Sequence[str], where: str, key: str) -> None:
    """Refuse names that are not known.

    Args:
        wanted: the names asked for.
        known: the names that there are, in order.
        where: the source or folder that was looked into.
        key: the key in `params.yaml` that asks.

    Raises:
        SourceError: a name is not there.
    """
    missing = [name for name in wanted if name not in set(known)]
    if missing:
        raise SourceError(
            f"{where}: no {few(missing)} ({key}); {nearest(missing[0], known)}"
            f"it has {few(known, 10) or 'none'}"
        )
