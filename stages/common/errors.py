"""What a stage raises when it must stop: one line that names the place and the remedy."""

from collections.abc import Iterable, Sequence


class StageError(Exception):
    """A stage cannot go on. The message is one line: what, where, and what to do about it."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class ParamsError(StageError):
    """`params.yaml` is wrong; one clause per mistake, each opening with the dotted key."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))


class InputError(StageError):
    """A file of the user cannot be read as bars; the message names file, rows and remedy."""


class SourceError(StageError):
    """A data source cannot deliver what was asked of it."""


class DataError(StageError):
    """The bars contradict the contract in a way that no rule in `params.yaml` may settle."""


class QualityError(StageError):
    """Validation failed: a critical expectation, or a score below `validate.min_quality`."""


class VersionError(StageError):
    """Git, DVC or the remote cannot do what was asked of a version."""


def few(items: Iterable[object], limit: int = 5) -> str:
    """Name the first few items and count the rest, so that no message fills the screen."""
    names = [str(item) for item in items]
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest} more" if rest > 0 else "")
