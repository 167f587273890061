"""The section `dataset:` of `params.yaml`, and which features it selects."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from stages.common.options import Names, Options, Share


class DatasetParams(Options):
    """What a model sees, and which part of the history is held out (`dataset:`)."""

    test_share: Share
    features: Names
    scale: Names


SPREADS = ("vol_*", "range_*", "rel_atr_*", "bb_width_*", "hourly_volatility")
"""Features whose logarithm says how far prices spread: they are never negative."""


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


def of_scale(dataset: DatasetParams, features: Sequence[str]) -> list[str]:
    """The features that the scale of an interval is regressed on: `dataset.scale`, resolved.

    Args:
        dataset: the section.
        features: those that models see; the others of `dataset.scale` are left out.
    """
    return chosen(dataset.scale, features)
