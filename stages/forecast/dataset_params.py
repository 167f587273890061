"""The section `dataset:` of `params.yaml`, and which features it selects."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from stages.common.options import Names, Options, Share


class DatasetParams(Options):
    """What models and the scale see, and which part of the history is held out (`dataset:`)."""

    test_share: Share
    features: Names
    scale: Names


LEVEL = "*_level"
"""A market series of numbers, such as VIX; its logarithm needs values above zero."""

SPREADS = ("vol_*", "ewma_vol_*", "range_*", "rel_atr_*", "bb_width_*", "hourly_volatility", LEVEL)
"""Features whose logarithm says how far prices spread: all but a level are never negative."""


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
        names: every column that there is, in order.
    """
    return chosen(dataset.features, names)


def of_scale(dataset: DatasetParams, names: Sequence[str]) -> list[str]:
    """The columns that the scale of an interval is regressed on: `dataset.scale`, resolved."""
    return chosen(dataset.scale, names)


def columns(dataset: DatasetParams, names: Sequence[str]) -> list[str]:
    """The columns of a dataset: those that models see, and those of the scale."""
    return chosen([*dataset.features, *dataset.scale], names)
