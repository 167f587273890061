"""Which names of experiments are taken."""

import re
from collections.abc import Collection
from pathlib import Path

from stages.common.errors import StageError
from versions.repository import git
from versions.repository.commits import EXPERIMENTS

_REF = re.compile(rf"{EXPERIMENTS}[0-9a-f]{{2}}/[0-9a-f]{{38}}/(?P<name>[^/]+)")
"""Where DVC keeps an experiment; what else is below `refs/exps/` is its own."""


class NameTakenError(StageError):
    """There is an experiment of this name."""


def taken(folder: Path | None = None) -> frozenset[str]:
    """The names of all experiments here."""
    refs = git.git("for-each-ref", "--format=%(refname)", EXPERIMENTS, folder=folder)
    return frozenset(
        found["name"] for ref in refs.splitlines() if (found := _REF.fullmatch(ref)) is not None
    )


def check(name: str, taken: Collection[str]) -> None:
    """Refuse a name that an experiment has, also one of another commit: tables show names alone.

    Raises:
        NameTakenError: it has.
    """
    if name in taken:
        raise NameTakenError(f"{name}: there is an experiment of this name; choose another")
