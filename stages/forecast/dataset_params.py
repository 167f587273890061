"""The sections `dataset:` and `horizons:` of `params.yaml`, and what they select."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import AfterValidator, PositiveInt

from stages.common.errors import ParamsError, few
from stages.common.mistakes import NestedError
from stages.common.options import Names, Options, Share, Slug
from stages.common.text import nearest

TAKEN = ("candidates", "clean", "validation", "validation_datasets")
"""What `models/` and `metrics/` hold beside the horizons."""


class DatasetParams(Options):
    """What a model sees, and which part of the history is held out (`dataset:`)."""

    test_share: Share
    features: Names
    scale: str


def _horizons(horizons: dict[str, int]) -> dict[str, int]:
    if not horizons:
        raise ValueError("name at least one horizon, for example `short: 1`")
    taken = [f"{name}: the name is taken; choose another" for name in TAKEN if name in horizons]
    if taken:
        raise NestedError(taken)
    return horizons


Horizons = Annotated[dict[Slug, PositiveInt], AfterValidator(_horizons)]
"""The length of each horizon, in sessions (`horizons:`)."""


def sessions(horizons: Mapping[str, int], name: str) -> int:
    """The length of a horizon.

    Raises:
        ParamsError: `horizons` has no such entry.
    """
    if name not in horizons:
        near = nearest(name, horizons)
        raise ParamsError([f"horizons: no {name!r}{near}; there is {few(horizons, 20)}"])
    return horizons[name]


def matches(wanted: str, names: Sequence[str]) -> bool:
    """Whether a name or pattern of `dataset.features` selects one of the names."""
    return any(fnmatchcase(name, wanted) for name in names)


def selected(dataset: DatasetParams, names: Sequence[str]) -> list[str]:
    """The columns that a model sees: `dataset.features` with its patterns resolved.

    Args:
        dataset: the section.
        names: every column that the features stage writes, in order.
    """
    return [name for name in names if any(fnmatchcase(name, wanted) for wanted in dataset.features)]
