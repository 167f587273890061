"""Register versions of a horizon, and list them with their scores."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import yaml

from stages.common.errors import VersionError
from stages.common.sections import PARAMS_FILE
from versions.registry import history, release_plan, tags
from versions.registry.history import History
from versions.registry.release_plan import Plan
from versions.repository import git, revision
from versions.results.formats import number

Bump = Literal["major", "minor", "patch"]

FIRST = "v1.0.0"

HEADLINE: Mapping[str, str] = {
    "mae": "MAE",
    "rmse": "RMSE",
    "oos_r2": "OOS R2",
    "auc": "AUC",
    "fold_oos_r2": "fold OOS R2",
}
"""The metrics of `metrics/<horizon>.json` in the annotation of a release: key and title."""


@dataclass(frozen=True)
class Row:
    """One version of a horizon.

    Attributes:
        version: such as `v1.0.0`.
        stages: the stages that it is in now.
        commit: its full hash.
        when: the time of its registration.
        who: the name of the person who registered it.
        metrics: the metrics of `HEADLINE` at its commit; None for those that are not there.
    """

    horizon: str
    version: str
    stages: tuple[str, ...]
    commit: str
    when: datetime
    who: str
    metrics: Mapping[str, float | None]


def register(horizon: str, bump: Bump = "minor", folder: Path | None = None) -> str:
    """Tag the checked-out revision as the next version of a horizon; returns the tag.

    Raises:
        ParamsError, VersionError: see `plan_release`.
    """
    plan = plan_release(horizon, bump, folder)
    tags.write(plan.tag, plan.commit, plan.message, folder)
    return plan.tag


def plan_release(horizon: str, bump: Bump = "minor", folder: Path | None = None) -> Plan:
    """What `register` will do.

    Raises:
        ParamsError: `params.yaml` has no such horizon.
        VersionError: the tree is not clean, the commit has a version already, `artifacts:` does not
            list the horizon, `dvc.lock` does not match, or there are no metrics.
    """
    release_plan.check_horizon(horizon, folder)
    release_plan.check_tree(folder)
    commit = git.commit(folder=folder)
    record = history.read(folder).get(horizon, History())
    for version, tag in record.versions.items():
        if tag.commit == commit:
            raise VersionError(f"{commit[:7]} is {horizon} {version} already")
    release_plan.check_artifact(horizon, commit, folder)
    revision.check("HEAD", folder)
    newest = next(iter(record.newest_first()), None)
    version = _next(newest, bump)
    message = _annotation(horizon, version, commit, folder)
    return Plan(f"{horizon}@{version}", commit, horizon, version, None, newest, message)


def versions(folder: Path | None = None) -> list[Row]:
    """Every registered version, by horizon, newest first."""
    rows = []
    for horizon, record in sorted(history.read(folder).items()):
        now = history.stages(record)
        for version in record.newest_first():
            tag = record.versions[version]
            rows.append(
                Row(
                    horizon=horizon,
                    version=version,
                    stages=tuple(stage for stage, name in now.items() if name == version),
                    commit=tag.commit,
                    when=tag.when,
                    who=tag.who,
                    metrics=scores(horizon, tag.commit, folder) or dict.fromkeys(HEADLINE),
                )
            )
    return rows


def _next(newest: str | None, bump: Bump) -> str:
    if newest is None:
        return FIRST
    # The version after a release candidate is counted from its three numbers.
    major, minor, patch = map(int, re.findall(r"\d+", newest)[:3])
    following = {
        "major": (major + 1, 0, 0),
        "minor": (major, minor + 1, 0),
        "patch": (major, minor, patch + 1),
    }[bump]
    return "v" + ".".join(map(str, following))


def _annotation(horizon: str, version: str, commit: str, folder: Path | None) -> str:
    metrics = scores(horizon, commit, folder)
    if metrics is None:
        raise VersionError(f"metrics/{horizon}.json is not in {commit[:7]}; `dvc repro` and commit")
    settings: Any = yaml.safe_load(git.content(commit, PARAMS_FILE, folder) or b"")
    lines = {"as of": str(settings["data"]["as_of"])}
    lines |= {title: number(metrics[key], ".6g") for key, title in HEADLINE.items()}
    width = max(map(len, lines))
    return "\n".join(
        [f"{horizon} {version}", "", *(f"{name:{width}}  {text}" for name, text in lines.items())]
    )


def scores(horizon: str, commit: str, folder: Path | None = None) -> dict[str, float | None] | None:
    """The metrics of `HEADLINE` at a commit; None where it has none of the horizon."""
    text = git.content(commit, f"metrics/{horizon}.json", folder)
    if text is None:
        return None
    metrics = json.loads(text)
    return {key: metrics.get(key) for key in HEADLINE}
