"""Params and scores of all experiments, by git alone.

`dvc exp show` opens the pipeline of every experiment, and takes minutes for a thousand. Here one
git process answers for hundreds, and each distinct section of params.yaml is parsed once.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from stages.common.errors import VersionError
from stages.common.paths import METRICS
from versions.repository import git, pipeline
from versions.repository.pipeline import PARAMS_FILE
from versions.results.known_revisions import Revision
from versions.values import flat

_SECTION = re.compile(rb"(?m)^(?=[A-Za-z_\"'])")

_QUEUED = "refs/exps/celery/stash"
_FAILED = "refs/exps/celery/failed"


@dataclass(frozen=True)
class Experiment:
    """An experiment that has ended.

    Attributes:
        revision: its name and its commits.
        scores: of each horizon, the content of `metrics/<horizon>.json`.
        params: by dotted key, without the `search` section.
    """

    revision: Revision
    scores: Mapping[str, Mapping[str, float | None]]
    params: Mapping[str, Any]


def read(revisions: Sequence[Revision], folder: Path | None = None) -> list[Experiment]:
    """The experiments among some revisions, in their order.

    Raises:
        VersionError: git fails.
    """
    experiments = [revision for revision in revisions if revision.kind == "experiment"]
    params = [
        _params(text or b"")
        for text in git.contents([f"{each.commit}:{PARAMS_FILE}" for each in experiments], folder)
    ]
    horizons = [list(_names(values)) for values in params]
    score_files = [
        f"{revision.commit}:{METRICS / name}.json"
        for revision, names in zip(experiments, horizons, strict=True)
        for name in names
    ]
    scores = map(_scores, git.contents(score_files, folder))
    return [
        Experiment(revision, {name: next(scores) for name in names}, values)
        for revision, names, values in zip(experiments, horizons, params, strict=True)
    ]


def waiting(folder: Path | None = None) -> tuple[int, int]:
    """How many experiments wait in DVC's queue, and how many of the queue have failed."""
    return _stashed(_QUEUED, folder), _stashed(_FAILED, folder)


def _stashed(ref: str, folder: Path | None) -> int:
    """Entries of a stash, which git keeps as the log of one ref."""
    try:
        lines = git.git("log", "--walk-reflogs", "--format=%H", ref, "--", folder=folder)
    except VersionError:
        # There is no such ref: nothing was ever queued.
        return 0
    return len(lines.split())


def _names(params: Mapping[str, Any]) -> dict[str, None]:
    """The horizons."""
    keys = (key.split(".") for key in params if key.startswith("horizons."))
    return dict.fromkeys(parts[1] for parts in keys)


def _params(text: bytes) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for section in _SECTION.split(text):
        parsed = _flat(section)
        if parsed is None:
            # A section refers to another, as an alias does to its anchor.
            return _without_search(flat(pipeline.parse(text)))
        values |= parsed
    return values


@lru_cache(maxsize=4096)
def _flat(section: bytes) -> Mapping[str, Any] | None:
    """The values of one section by dotted key; None if it cannot be parsed alone."""
    lines = section.splitlines()
    if all(not line.strip() or line.lstrip().startswith(b"#") for line in lines):
        return {}
    values = flat(pipeline.parse(section))
    return _without_search(values) if values else None


def _without_search(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values without the section `search`, which no stage reads."""
    return {key: value for key, value in values.items() if not key.startswith("search.")}


def _scores(text: bytes | None) -> Mapping[str, float | None]:
    try:
        content = json.loads(text or b"{}")
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
