"""The stages that a change of params runs again, by the params that `dvc.lock` has of each."""

from collections.abc import Iterable
from typing import NamedTuple

from dashboard.control import stage_graph
from stages.common.paths import CHECKED_PARAMS
from stages.common.sections import PARAMS_FILE
from versions.repository.lock import Lock, Stage


class Touched(NamedTuple):
    """Stages in the order of `dvc.lock`.

    Attributes:
        direct: they read a param that changes, or the whole file.
        following: they read what those make, and run again where it has changed.
    """

    direct: tuple[str, ...]
    following: tuple[str, ...]


def touched(lock: Lock, keys: Iterable[str], *, features_change: bool) -> Touched:
    """The stages that changes of some params touch.

    Args:
        lock: of the present state.
        keys: dotted.
        features_change: whether the params make other features than before. Only then the file
            changes that the check of the params writes, and that other stages read.
    """
    changed = list(keys)
    direct = [stage for stage in lock.stages.values() if changed and _reads(stage, changed)]
    written = {
        out.path
        for stage in direct
        for out in stage.outs
        if features_change or out.path != str(CHECKED_PARAMS)
    }
    names = {stage.name for stage in direct}
    following = stage_graph.following(lock, names, written)
    order = list(lock.stages)
    return Touched(
        tuple(name for name in order if name in names),
        tuple(name for name in order if name in following),
    )


def _reads(stage: Stage, keys: Iterable[str]) -> bool:
    whole = any(entry.path == str(PARAMS_FILE) for entry in stage.deps)
    return whole or any(_within(key, param) for key in keys for param in stage.params)


def _within(key: str, param: str) -> bool:
    """Whether one of two dotted keys is the other, or is in its section."""
    return f"{key}.".startswith(f"{param}.") or f"{param}.".startswith(f"{key}.")
