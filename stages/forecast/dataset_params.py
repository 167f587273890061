"""The section `dataset:` of `params.yaml`, and which features it selects."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from stages.common.options import Names, Options, Share


class DatasetParams(Options):
    """What a model sees, and which part of the history is held out (`dataset:`)."""

    test_share: Share
    features: Names
    scale: str


def matches(wanted: str, names: Sequence[str]) -> bool:
    """Whether a name or pattern of `dataset.features` selects one of the names."""
    return any(fnmatchcase(name, wanted) for name in names)


def chosen(wanted: Sequence[str], names: Sequence[str]) -> list[str]:
    """The names that some name or pattern selects, in their own order."""
    return [name for name in names if any(fnmatchcase(name, each) for each in wanted)]


def selected(dataset: DatasetParams, names: Sequence[str]) -> list[str]:
    """The columns that a model sees: `dataset.features` with its patterns resolved.

    Args:
        dataset: the section.
        names: every column that the features stage writes, in order.
    """
    return chosen(dataset.features, names)
