"""Which stages read what others write, by `dvc.yaml` and by `dvc.lock`."""

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from graphlib import TopologicalSorter
from pathlib import PurePosixPath
from typing import Any

from versions.repository.lock import Lock


def readers(stages: Mapping[str, Any]) -> dict[str, set[str]]:
    """For every stage of `dvc.yaml`, the stages that read its outputs.

    Indirect edges are left out: where b reads from a, and c from both, a leads to b alone.
    """
    direct = {
        name: {
            reader
            for reader in stages
            for output in outputs(stages[name])
            for dependency in stages[reader].get("deps", ())
            if reader != name and overlaps(dependency, {output})
        }
        for name in stages
    }
    later: dict[str, set[str]] = {}
    for name in TopologicalSorter(direct).static_order():
        later[name] = direct[name].union(*(later[reader] for reader in direct[name]))
    return {
        name: {one for one in readers_of if not any(one in later[other] for other in readers_of)}
        for name, readers_of in direct.items()
    }


def outputs(stage: Mapping[str, Any]) -> Iterator[str]:
    """The paths that a stage of `dvc.yaml` writes."""
    for kind in ("outs", "metrics", "plots"):
        for entry in stage.get(kind, ()):
            yield entry if isinstance(entry, str) else next(iter(entry))


def following(lock: Lock, names: Iterable[str], paths: Iterable[str]) -> set[str]:
    """The stages that read some paths, or what is made from them.

    Args:
        lock: says what each stage reads and writes.
        names: of the stages that write the paths; they are left out.
        paths: that are read.
    """
    passed, written = set(names), set(paths)
    after: set[str] = set()
    while True:
        more = {
            name: stage
            for name, stage in lock.stages.items()
            if name not in passed and any(overlaps(dep.path, written) for dep in stage.deps)
        }
        if not more:
            return after
        after |= more.keys()
        passed |= more.keys()
        written |= {out.path for stage in more.values() for out in stage.outs}


def overlaps(path: str, others: AbstractSet[str]) -> bool:
    """Whether a path is one of some others, is within one of them, or holds one of them."""
    if path in others or any(str(above) in others for above in PurePosixPath(path).parents):
        return True
    return any(other.startswith(f"{path}/") for other in others)
