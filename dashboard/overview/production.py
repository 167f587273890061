"""Which version of each horizon is in production, and since when, by the tags of git."""

from dataclasses import dataclass
from datetime import datetime

from versions.registry import history

STAGE = "production"


@dataclass(frozen=True)
class InProduction:
    """The version of a horizon that is in production.

    Attributes:
        horizon: the name of the horizon.
        version: such as `v1.2.0`.
        commit: the full hash.
        since: when it was put there.
        by: who put it there.
    """

    horizon: str
    version: str
    commit: str
    since: datetime
    by: str


def read() -> list[InProduction]:
    """What is in production, by horizon; empty if nothing was promoted.

    Raises:
        VersionError: the folder is not a git repository.
    """
    placed = []
    for horizon, record in sorted(history.read().items()):
        tag = record.assignment(STAGE)
        if tag is not None:
            version = record.version(tag)
            placed.append(InProduction(horizon, version, tag.commit, tag.when, tag.who))
    return placed
