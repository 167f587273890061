"""The lineage of a file: every stage from it back to the raw bars, read from a `dvc.lock`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from graphlib import TopologicalSorter
from typing import Any

from stages.common.errors import VersionError, few
from stages.common.text import nearest
from versions.repository.lock import Entry, Lock, Stage
from versions.values import flat

CODE = "stages"
"""The folder whose files are code; git has their history."""


@dataclass(frozen=True)
class Dep(Entry):
    """Something that a stage read, with the md5 that it had.

    Attributes:
        made_by: the stages that wrote it or a part of it; empty for an input of the pipeline.
    """

    made_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """One stage of a lineage.

    Attributes:
        params: by dotted key, each a leaf of `params.yaml`.
        code: the modules among its deps.
        deps: the others.
    """

    name: str
    cmd: str
    params: Mapping[str, Any]
    code: tuple[Entry, ...]
    deps: tuple[Dep, ...]
    outs: tuple[Entry, ...]


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
        outputs: the outputs that the path is, lies in, or holds; the input, if it is one.
        stages: from the one that wrote it back to the one that fetched the raw bars.
        inputs: what no stage writes, such as `data/actions.csv`.
        readers: the stages that read it, if it is an input.
        raw: where the bars came from; None if no stage fetched any.
    """

    path: str
    outputs: tuple[Entry, ...]
    stages: tuple[Step, ...]
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
        VersionError: no stage writes or reads such a path.
    """
    makers = _makers(lock, path)
    if not makers:
        return _input(lock, path, name)
    wanted: dict[str, list[str]] = {}
    waiting = list(makers)
    while waiting:
        stage = waiting.pop()
        if stage not in wanted:
            deps = lock.stages[stage].deps
            wanted[stage] = [maker for dep in deps for maker in _makers(lock, dep.path)]
            waiting += wanted[stage]
    # In the order of the lock, whatever the order of the walk.
    graph = {stage: wanted[stage] for stage in lock.stages if stage in wanted}
    order = list(TopologicalSorter(graph).static_order())
    steps = tuple(_step(lock, lock.stages[stage]) for stage in reversed(order))
    outputs = tuple(out for stage in makers for out in lock.stages[stage].outs if _touch(out, path))
    raw = {dep.path for step in steps for dep in step.deps if not dep.made_by}
    read = (dep for stage in order for dep in lock.stages[stage].deps)
    inputs = {dep.path: dep for dep in read if dep.path in raw}
    return Lineage(path, outputs, steps, tuple(inputs.values()), (), _raw(steps))


def _input(lock: Lock, path: str, name: str) -> Lineage:
    stages = lock.stages.values()
    read = [(stage.name, dep) for stage in stages for dep in stage.deps if _touch(dep, path)]
    if not read:
        known = list(lock.outs)
        hint = nearest(path, known) or f"; there are {few(known)}"
        raise VersionError(f"{name}: no stage makes or reads {path}{hint}")
    inputs = tuple({dep.path: dep for _, dep in read}.values())
    return Lineage(path, inputs, (), inputs, tuple(dict(read)), None)


def _makers(lock: Lock, path: str) -> tuple[str, ...]:
    """The stage that wrote a path, or those that wrote parts of it."""
    return tuple(
        stage.name for stage in lock.stages.values() if any(_touch(out, path) for out in stage.outs)
    )


def _touch(entry: Entry, path: str) -> bool:
    """Whether an entry is a path, lies in it or holds it."""
    one, other = f"{entry.path}/", f"{path}/"
    return one.startswith(other) or other.startswith(one)


def _step(lock: Lock, stage: Stage) -> Step:
    code = tuple(dep for dep in stage.deps if _touch(dep, CODE))
    deps = tuple(
        Dep(**asdict(dep), made_by=_makers(lock, dep.path)) for dep in stage.deps if dep not in code
    )
    return Step(stage.name, stage.cmd, flat(stage.params), code, deps, stage.outs)


def _raw(steps: tuple[Step, ...]) -> Raw | None:
    for params in (step.params for step in steps if "data.source" in step.params):
        source = params["data.source"]
        below = f"data.sources.{source}."
        options = {
            key.removeprefix(below): value for key, value in params.items() if key.startswith(below)
        }
        return Raw(source, options, str(params["data.as_of"]))
    return None
