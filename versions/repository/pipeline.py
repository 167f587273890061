"""The stages of a `dvc.yaml` by the names that `dvc.lock` has for them.

DVC never removes an entry from `dvc.lock`: that of a model or a horizon that has left `params.yaml`
stays, and no longer says how a file was made. This module reads the YAML alone, without DVC.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import yaml

PIPELINE_FILE = Path("dvc.yaml")
PARAMS_FILE = Path("params.yaml")

Has = Callable[[str], bool]
"""Whether the pipeline has a stage of this name."""

# libyaml's loader is ten times as fast; a PyYAML built without it has only the other.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PARAM = re.compile(r"\$\{([\w.]+)\}")


def parse(text: bytes | None) -> Mapping[str, Any]:
    """The content of a YAML file; empty if it is missing or cannot be read."""
    try:
        content = yaml.load(text or b"", Loader=_Loader)  # noqa: S506  # both loaders are safe
    except yaml.YAMLError:
        return {}
    return content if isinstance(content, Mapping) else {}


def names(pipeline: Mapping[str, Any], params: Mapping[str, Any]) -> Has:
    """Whether a pipeline has a stage, by its name; a `matrix` or `foreach` has one for each item.

    Where these files do not tell, the answer is yes: for every stage if `dvc.yaml` has none, and
    for all of a matrix over anything but params and plain lists.
    """
    stages = pipeline.get("stages")
    if not isinstance(stages, Mapping):
        return lambda _: True
    known: set[str] = set()
    families: set[str] = set()
    for stage, section in stages.items():
        try:
            known.update(_named(str(stage), section, params))
        except (KeyError, TypeError):
            families.add(str(stage))
    return lambda name: name in known or name.partition("@")[0] in families


def _named(stage: str, section: Any, params: Mapping[str, Any]) -> Iterator[str]:
    if "matrix" in section:
        axes = [_words(axis, params) for axis in section["matrix"].values()]
    elif "foreach" in section:
        axes = [_words(section["foreach"], params)]
    else:
        yield stage
        return
    for words in product(*axes):
        yield f"{stage}@{'-'.join(words)}"


def _words(axis: Any, params: Mapping[str, Any]) -> list[str]:
    """The items of one axis of a matrix: the keys of a mapping, or the items of a list.

    Raises:
        KeyError, TypeError: it is neither, or an item is not a plain value.
    """
    if isinstance(axis, str):
        axis = _param(axis, params)
    if not isinstance(axis, list | Mapping):
        raise TypeError
    if any(isinstance(item, bool) or not isinstance(item, str | int | float) for item in axis):
        raise TypeError
    return list(map(str, axis))


def _param(text: str, params: Mapping[str, Any]) -> Any:
    match = _PARAM.fullmatch(text)
    if match is None:
        raise TypeError
    value: Any = params
    for key in match[1].split("."):
        value = value[key]
    return value
