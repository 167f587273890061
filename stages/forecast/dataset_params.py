"""The section `dataset:` of `params.yaml`, and which features it selects."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from stages.common.options import Names, Options, Share


class DatasetParams(Options):
    """What models and the scale see, and which part of the history is held out (`dataset:`).

    Attributes:
        test_share: of the sessions, the newest.
        features: names and patterns of the columns that a model sees.
        scale: the same of those that the scale of an interval is regressed on.
    """

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


def columns(dataset: DatasetParams, names: Sequence[str]) -> list[str]:
    """The columns of a dataset: those that models see, and those of the scale."""
    return chosen([*dataset.features, *dataset.scale], names)
