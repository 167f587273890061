"""Release, promote and roll back.

Each makes its tag last. If it is stopped before, it has at most pushed objects, and the next try
finds them in the remote.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml

from stages import params
from stages.common.errors import VersionError, few
from stages.common.sections import PARAMS_FILE
from versions.registry import history, tags
from versions.registry.history import BACK, History
from versions.repository import git, revision
from versions.storage import remote_config, transfers
from versions.storage.transfers import Sent

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
class Promotion:
    """The tag, the version, the one before it, and what was pushed."""

    tag: str
    version: str
    former: str | None
    sent: Sent


@dataclass(frozen=True)
class Plan:
    """What a release, a promotion or a roll back will do, when all that can be checked is.

    Attributes:
        tag: that it makes.
        commit: that it tags.
        horizon: of the version.
        version: that is registered, or put into the stage.
        stage: None for a release.
        former: the version in the stage; for a release the newest one; None without one.
        message: of the tag.
    """

    tag: str
    commit: str
    horizon: str
    version: str
    stage: str | None
    former: str | None
    message: str


@dataclass(frozen=True)
class Row:
    """One version of a horizon.

    Attributes:
        horizon: the name of the horizon.
        version: the version, such as `v1.0.0`.
        stages: the stages that it is in now.
        commit: the full hash of its commit.
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
    _known(horizon, folder)
    _clean(folder)
    commit = git.commit(folder=folder)
    record = history.read(folder).get(horizon, History())
    for version, tag in record.versions.items():
        if tag.commit == commit:
            raise VersionError(f"{commit[:7]} is {horizon} {version} already")
    _artifact(horizon, commit, folder)
    revision.check("HEAD", folder)
    version = _next(record, bump)
    message = _annotation(horizon, version, commit, folder)
    newest = next(iter(record.newest_first()), None)
    return Plan(f"{horizon}@{version}", commit, horizon, version, None, newest, message)


def promote(
    horizon: str, version: str, stage: str = "production", folder: Path | None = None
) -> Promotion:
    """Put a version into a stage, once the remote has every object of it.

    Raises:
        ParamsError: see `plan_promotion`.
        VersionError: likewise, or the remote lacks an object that is not here either.
    """
    return _assign(plan_promotion(horizon, version, stage, folder), folder)


def plan_promotion(
    horizon: str, version: str, stage: str = "production", folder: Path | None = None
) -> Plan:
    """What `promote` will do; which objects the remote lacks is not asked.

    Raises:
        ParamsError: there is no such horizon.
        VersionError: the tree is not clean, the version is not registered or in that stage already,
            its `dvc.lock` does not match, or there is no remote.
    """
    record = _record(horizon, folder)
    _clean(folder)
    if not version:
        raise VersionError(f"VERSION is missing; {horizon} has {few(record.newest_first(), 10)}")
    version = version if version.startswith("v") else f"v{version}"
    if version not in record.versions:
        raise VersionError(
            f"{horizon} has no version {version}; there is {few(record.newest_first(), 10)}; "
            "`git fetch --tags` brings those of others"
        )
    former = record.current(stage)
    if former == version:
        raise VersionError(f"{horizon} {version} is in {stage} already")
    was = f"was {former}" if former else "the first"
    move = _Move(horizon, version, stage, record)
    return _plan(move, f"{horizon} {version} to {stage}, {was}", folder)


def rollback(horizon: str, stage: str = "production", folder: Path | None = None) -> Promotion:
    """Put the former version of a stage back, as a new assignment.

    Raises:
        ParamsError: see `plan_rollback`.
        VersionError: likewise, or as `promote`.
    """
    return _assign(plan_rollback(horizon, stage, folder), folder)


def plan_rollback(horizon: str, stage: str = "production", folder: Path | None = None) -> Plan:
    """What `rollback` will do.

    Raises:
        ParamsError: there is no such horizon.
        VersionError: nothing was there before, or as `plan_promotion`.
    """
    record = _record(horizon, folder)
    _clean(folder)
    current, version = record.current(stage), record.former(stage)
    if current is None:
        raise VersionError(
            f"no version of {horizon} is in {stage}, so a roll back has nothing to replace; "
            f"`make promote HORIZON={horizon} VERSION=...` puts one there"
        )
    if version is None:
        raise VersionError(
            f"{horizon} {current} is the first in {stage}: no version to go back to; "
            f"`make promote HORIZON={horizon} VERSION=...` puts any version there"
        )
    title = f"{horizon} back to {version} in {stage}\n\n{BACK} {current}"
    return _plan(_Move(horizon, version, stage, record), title, folder)


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


class _Move(NamedTuple):
    """A version, and the stage to put it into."""

    horizon: str
    version: str
    stage: str
    record: History


def _plan(move: _Move, message: str, folder: Path | None) -> Plan:
    if not tags.is_name(move.stage):
        raise VersionError(
            f"STAGE={move.stage}: the name of a stage has letters, digits, - and _ only, such as "
            "production"
        )
    registered = move.record.versions[move.version]
    _artifact(move.horizon, registered.commit, folder)
    revision.check(registered.name, folder)
    with remote_config.opened(folder):
        pass
    return Plan(
        tag=f"{move.horizon}#{move.stage}#{move.record.counter + 1}",
        commit=registered.commit,
        horizon=move.horizon,
        version=move.version,
        stage=move.stage,
        former=move.record.current(move.stage),
        message=message,
    )


def _assign(plan: Plan, folder: Path | None) -> Promotion:
    with remote_config.opened(folder) as remote:
        sent = transfers.push(remote, revision=f"{plan.horizon}@{plan.version}")
    tags.write(plan.tag, plan.commit, plan.message, folder)
    return Promotion(plan.tag, plan.version, plan.former, sent)


def _known(horizon: str, folder: Path | None) -> None:
    settings = params.load((folder or Path()) / PARAMS_FILE)
    if not horizon:
        raise VersionError(f"HORIZON is missing; name one of {few(settings.horizons, 20)}")
    settings.sessions(horizon)
    if not tags.is_name(horizon):
        raise VersionError(f"{horizon}: GTO accepts no name that ends with _; rename the horizon")


def _record(horizon: str, folder: Path | None) -> History:
    """The history of a horizon, even if it is no longer in `params.yaml`."""
    record = history.read(folder).get(horizon)
    if record is None or not record.versions:
        _known(horizon, folder)
        raise VersionError(
            f"{horizon} has no version yet; `make release HORIZON={horizon}` registers one, "
            "`git fetch --tags` brings those of others"
        )
    return record


def _clean(folder: Path | None) -> None:
    changed = git.changes(folder)
    if changed:
        raise VersionError(
            f"the tree is not clean: {few(changed)}; commit or `git stash --include-untracked`"
        )


def _artifact(horizon: str, commit: str, folder: Path | None) -> None:
    text = git.content(commit, "dvc.yaml", folder) or b""
    content = yaml.safe_load(text) or {}
    artifact = (content.get("artifacts") or {}).get(horizon) or {}
    path = f"models/{horizon}"
    if artifact.get("path") != path:
        raise VersionError(
            f"dvc.yaml of {commit[:7]} does not list {horizon} as an artifact; add below "
            f"`artifacts:`, indented, `{horizon}: {{path: {path}, type: model}}` and commit"
        )


def _next(record: History, bump: Bump) -> str:
    newest = next(iter(record.newest_first()), None)
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
    lines |= {title: _number(metrics[key]) for key, title in HEADLINE.items()}
    width = max(map(len, lines))
    return "\n".join(
        [f"{horizon} {version}", "", *(f"{name:{width}}  {text}" for name, text in lines.items())]
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"


def scores(horizon: str, commit: str, folder: Path | None = None) -> dict[str, float | None] | None:
    """The metrics of `HEADLINE` at a commit; None where it has none of the horizon."""
    text = git.content(commit, f"metrics/{horizon}.json", folder)
    if text is None:
        return None
    metrics = json.loads(text)
    return {key: metrics.get(key) for key in HEADLINE}
