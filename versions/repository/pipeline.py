"""The stages of a `dvc.yaml` by the names that `dvc.lock` has for them.

DVC never removes an entry from `dvc.lock`. The entry of a model or a horizon that has left
`params.yaml` stays, and no longer says how a file was made. This module reads the YAML without DVC.
"""

import re
from collections.abc import Callable, Mapping
from functools import reduce
from itertools import product
from operator import getitem
from pathlib import Path
from typing import Any

import yaml

PIPELINE_FILE = Path("dvc.yaml")
PARAMS_FILE = Path("params.yaml")


def parse(text: bytes | None) -> Mapping[str, Any]:
    """The content of a YAML file; empty if it is missing or cannot be read."""
    try:
        content = yaml.load(text or b"", Loader=yaml.CSafeLoader)
    except yaml.YAMLError:
        return {}
    return content if isinstance(content, Mapping) else {}


def names(pipeline: Mapping[str, Any], params: Mapping[str, Any]) -> Callable[[str], bool]:
    """Whether a pipeline has a stage, by its name; a `matrix` or `foreach` has one for each item.

    Where these files leave it open, the answer is yes: for every name if `dvc.yaml` has no stages,
    and for every item of a matrix over anything but params and plain lists.
    """
    stages = pipeline.get("stages")
    if not isinstance(stages, Mapping):
        return lambda _: True
    listed = {stage: _listed(stage, section, params) for stage, section in stages.items()}
    known = {name for names in listed.values() for name in names or ()}
    families = {stage for stage, names in listed.items() if names is None}
    return lambda name: name in known or name.partition("@")[0] in families


def stage_names(folder: Path | None = None) -> list[str]:
    """The stages of the `dvc.yaml` of a working tree, in its order.

    A `matrix` or `foreach` that is not over params or a plain list is one name, without its items.
    """
    root = folder or Path()
    content, params = (
        parse((root / file).read_bytes() if (root / file).exists() else None)
        for file in (PIPELINE_FILE, PARAMS_FILE)
    )
    stages: Mapping[str, Any] = content.get("stages") or {}
    listed = ((stage, _listed(stage, section, params)) for stage, section in stages.items())
    return [name for stage, names in listed for name in ([stage] if names is None else names)]


def _listed(stage: str, section: Mapping[str, Any], params: Mapping[str, Any]) -> list[str] | None:
    """The names of one stage of `dvc.yaml`; None where the items of its matrix are not known."""
    try:
        foreach = [section["foreach"]] if "foreach" in section else []
        axes = [_items(axis, params) for axis in [*section.get("matrix", {}).values(), *foreach]]
    except (KeyError, TypeError):
        return None
    return [f"{stage}@{'-'.join(items)}" for items in product(*axes)] if axes else [stage]


def _items(axis: Any, params: Mapping[str, Any]) -> list[str]:
    """The items of one axis of a matrix: the keys of a mapping, or the items of a list.

    Raises:
        KeyError, TypeError: it is neither, or an item is not a plain value.
    """
    if isinstance(axis, str) and (param := re.fullmatch(r"\$\{([\w.]+)\}", axis)):
        axis = reduce(getitem, param[1].split("."), params)
    if not isinstance(axis, list | Mapping):
        raise TypeError
    if any(isinstance(item, bool) or not isinstance(item, str | int | float) for item in axis):
        raise TypeError
    return list(map(str, axis))
