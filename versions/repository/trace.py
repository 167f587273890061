"""The lineage of a file: every stage from it back to the raw bars, read from a `dvc.lock`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import PurePosixPath
from typing import Any

from stages.common.errors import VersionError, few
from stages.common.text import nearest
from versions.repository.lock import Entry, Lock, Stage
from versions.values import flat

CODE = "stages"
"""The folder whose files are code; git has their history."""


@dataclass(frozen=True)
class Read:
    """Something that a stage read.

    Attributes:
        entry: the file or folder, with the md5 that it had.
        made_by: the stages that wrote it or a part of it; empty for an input of the pipeline.
    """

    entry: Entry
    made_by: tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """One stage of a lineage.

    Attributes:
        params: by dotted key, each a leaf of `params.yaml`.
        code: the modules among its deps.
        reads: its other deps.
    """

    name: str
    cmd: str
    params: Mapping[str, Any]
    code: tuple[Entry, ...]
    reads: tuple[Read, ...]
    makes: tuple[Entry, ...]


@dataclass(frozen=True)
class Raw:
    """Where the raw bars came from: `data.source`, its options, and `data.as_of`."""

    source: str
    options: Mapping[str, Any]
    as_of: str


@dataclass(frozen=True)
class Lineage:
    """Where a file or folder comes from.

    Attributes:
        path: from the root of the project.
        entries: the outputs that the path is, lies in, or holds; the input, if it is one.
        steps: from the stage that wrote it back to the one that fetched the raw bars.
        inputs: what no stage writes, such as `data/actions.csv`.
        readers: the stages that read it, if it is an input.
        raw: where the bars came from; None if no step fetched any.
    """

    path: str
    entries: tuple[Entry, ...]
    steps: tuple[Step, ...]
    inputs: tuple[Entry, ...]
    readers: tuple[str, ...]
    raw: Raw | None


def trace(lock: Lock, path: str, name: str = "dvc.lock") -> Lineage:
    """Follow a file back to the raw bars.

    Args:
        lock: what each stage read and wrote.
        path: an output, a file in one, a folder of several, or an input of the pipeline.
        name: of the lock, for messages.

    Raises:
        VersionError: no stage writes or reads such a path, or the stages of the lock form a cycle.
    """
    makers = list(_makers(lock, path))
    if not makers:
        return _input(lock, path, name)
    entries = tuple(entry for stage in makers for entry in stage.outs if _touch(entry.path, path))
    wanted: dict[str, list[str]] = {}
    waiting = [stage.name for stage in makers]
    while waiting:
        stage = waiting.pop()
        if stage not in wanted:
            deps = lock.stages[stage].deps
            wanted[stage] = [maker.name for dep in deps for maker in _makers(lock, dep.path)]
            waiting += wanted[stage]
    # In the order of the lock, whatever the order of the walk.
    graph = {stage: wanted[stage] for stage in lock.stages if stage in wanted}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise VersionError(f"{name}: its stages form a cycle: {few(error.args[1])}") from None
    steps = tuple(_step(lock, lock.stages[stage]) for stage in reversed(order))
    inputs = {
        read.entry.path: read.entry
        for step in reversed(steps)
        for read in step.reads
        if not read.made_by
    }
    return Lineage(path, entries, steps, tuple(inputs.values()), (), _raw(steps))


def _input(lock: Lock, path: str, name: str) -> Lineage:
    readers: list[str] = []
    entries: dict[str, Entry] = {}
    for stage in lock.stages.values():
        read = [dep for dep in stage.deps if _touch(dep.path, path)]
        if read:
            readers.append(stage.name)
            entries |= {dep.path: dep for dep in read}
    if not readers:
        known = list(lock.outs)
        hint = nearest(path, known) or f"; there are {few(known)}"
        raise VersionError(f"{name}: no stage makes or reads {path}{hint}")
    inputs = tuple(entries.values())
    return Lineage(path, inputs, (), inputs, tuple(readers), None)


def _makers(lock: Lock, path: str) -> Iterator[Stage]:
    """The stage that wrote a path, or those that wrote parts of it."""
    whole = lock.maker(path)
    if whole is not None:
        yield whole
        return
    for stage in lock.stages.values():
        if any(_touch(entry.path, path) for entry in stage.outs):
            yield stage


def _touch(one: str, other: str) -> bool:
    """Whether two paths are the same, or one lies in the other."""
    a, b = PurePosixPath(one), PurePosixPath(other)
    return a.is_relative_to(b) or b.is_relative_to(a)


def _step(lock: Lock, stage: Stage) -> Step:
    code = tuple(dep for dep in stage.deps if PurePosixPath(dep.path).parts[0] == CODE)
    reads = tuple(
        Read(dep, tuple(maker.name for maker in _makers(lock, dep.path)))
        for dep in stage.deps
        if dep not in code
    )
    return Step(stage.name, stage.cmd, flat(stage.params), code, reads, stage.outs)


def _raw(steps: tuple[Step, ...]) -> Raw | None:
    for step in steps:
        source = step.params.get("data.source")
        if source is not None:
            below = f"data.sources.{source}."
            options = {
                key.removeprefix(below): value
                for key, value in step.params.items()
                if key.startswith(below)
            }
            return Raw(source, options, str(step.params["data.as_of"]))
    return None
