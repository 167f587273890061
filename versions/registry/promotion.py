"""Release, promote, roll back: what each must refuse, and in which order it is done.

The tag comes last in each. What is stopped before has at most pushed objects, which hurts nobody
and which the next try finds there.
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
from versions.storage import transfers
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
"""What the annotation of a release says of `metrics/<horizon>.json`: key and title."""


@dataclass(frozen=True)
class Promotion:
    """What a promotion or a roll back did."""

    tag: str
    version: str
    former: str | None
    sent: Sent


@dataclass(frozen=True)
class Row:
    """One version of a horizon.

    Attributes:
        stages: that it is in now.
        when: it was registered.
        who: registered it.
        metrics: of `HEADLINE`, as the tagged commit has them; None where it has not.
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
        ParamsError: `params.yaml` has no such horizon.
        VersionError: the tree is dirty, the commit has a version already, `artifacts:` does not
            name the horizon, the lock does not match, or there are no metrics.
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
    name = f"{horizon}@{version}"
    tags.write(name, commit, _annotation(horizon, version, commit, folder), folder)
    return name


def promote(
    horizon: str, version: str, stage: str = "production", folder: Path | None = None
) -> Promotion:
    """Put a version into a stage, once the remote holds every object of it.

    Raises:
        ParamsError: there is no such horizon.
        VersionError: the tree is dirty, the version is not registered or in that stage already,
            its lock does not match, or the remote lacks an object that is not here to be pushed.
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
    return _assign(move, f"{horizon} {version} to {stage}, {was}", folder)


def rollback(horizon: str, stage: str = "production", folder: Path | None = None) -> Promotion:
    """Put the former version of a stage back, as a new assignment.

    Raises:
        ParamsError: there is no such horizon.
        VersionError: nothing was there before, or as `promote`.
    """
    record = _record(horizon, folder)
    _clean(folder)
    current, version = record.current(stage), record.former(stage)
    if current is None:
        raise VersionError(
            f"no version of {horizon} is in {stage}, so there is none to go back from; "
            f"`make promote HORIZON={horizon} VERSION=...` puts one there"
        )
    if version is None:
        raise VersionError(
            f"{horizon} {current} is the first in {stage}: there is none to go back to; "
            f"`make promote HORIZON={horizon} VERSION=...` takes any version"
        )
    title = f"{horizon} back to {version} in {stage}\n\n{BACK} {current}"
    return _assign(_Move(horizon, version, stage, record), title, folder)


def versions(folder: Path | None = None) -> list[Row]:
    """Every registered version, by horizon, the newest first."""
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
                    metrics=_metrics(horizon, tag.commit, folder) or dict.fromkeys(HEADLINE),
                )
            )
    return rows


class _Move(NamedTuple):
    """A version that is to be put into a stage."""

    horizon: str
    version: str
    stage: str
    record: History


def _assign(move: _Move, message: str, folder: Path | None) -> Promotion:
    if not tags.is_name(move.stage):
        raise VersionError(
            f"STAGE={move.stage}: letters, digits, - and _ make the name of a stage, "
            "such as production"
        )
    registered = move.record.versions[move.version]
    _artifact(move.horizon, registered.commit, folder)
    revision.check(registered.name, folder)
    sent = transfers.push_revision(registered.name, folder)
    name = f"{move.horizon}#{move.stage}#{move.record.counter + 1}"
    tags.write(name, registered.commit, message, folder)
    return Promotion(name, move.version, move.record.current(move.stage), sent)


def _known(horizon: str, folder: Path | None) -> None:
    settings = params.load((folder or Path()) / PARAMS_FILE)
    if not horizon:
        raise VersionError(f"HORIZON is missing; name one of {few(settings.horizons, 20)}")
    settings.sessions(horizon)
    if not tags.is_name(horizon):
        raise VersionError(f"{horizon}: GTO takes no name that ends with _; rename the horizon")


def _record(horizon: str, folder: Path | None) -> History:
    """The tags of a horizon; one that is no longer in params keeps its record."""
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
    found = (content.get("artifacts") or {}).get(horizon) or {}
    path = f"models/{horizon}"
    if found.get("path") != path:
        raise VersionError(
            f"dvc.yaml of {commit[:7]} does not list {horizon} as an artifact; add below "
            f"`artifacts:`, indented, `{horizon}: {{path: {path}, type: model}}` and commit"
        )


def _next(record: History, bump: Bump) -> str:
    newest = next(iter(record.newest_first()), None)
    if newest is None:
        return FIRST
    # What follows a release candidate is counted from its three numbers.
    major, minor, patch = map(int, re.findall(r"\d+", newest)[:3])
    following = {
        "major": (major + 1, 0, 0),
        "minor": (major, minor + 1, 0),
        "patch": (major, minor, patch + 1),
    }[bump]
    return "v" + ".".join(map(str, following))


def _annotation(horizon: str, version: str, commit: str, folder: Path | None) -> str:
    metrics = _metrics(horizon, commit, folder)
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


def _metrics(horizon: str, commit: str, folder: Path | None) -> dict[str, float | None] | None:
    text = git.content(commit, f"metrics/{horizon}.json", folder)
    if text is None:
        return None
    found = json.loads(text)
    return {key: found.get(key) for key in HEADLINE}
