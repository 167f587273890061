"""Champion and challenger as git and `dvc.lock` know them, and what kind of challenge it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

import yaml

from monitor.settings import MonitorError
from stages.common.paths import MODELS
from stages.common.sections import PARAMS_FILE
from versions.repository import git, lock
from versions.repository.lock import LOCK_FILE, Lock
from versions.repository.trace import trace
from versions.values import flat

Lane = Literal["refit", "change"]

AS_OF = "data.as_of"


@dataclass(frozen=True)
class Contestant:
    """The models of a commit.

    Attributes:
        commit: its hash.
        root: of the project.
        params: the content of its `params.yaml`.
        lock: its `dvc.lock`.
    """

    commit: str
    root: Path
    params: Mapping[str, Any]
    lock: Lock

    @property
    def horizons(self) -> Mapping[str, int]:
        """The length of each horizon, in sessions."""
        return dict(self.params["horizons"])

    @property
    def level(self) -> float:
        """Share of outcomes that an interval is to hold."""
        return float(self.params["evaluate"]["level"])

    def md5(self, horizon: str, name: str = "model.onnx") -> str:
        """The md5 of a file of a horizon's model.

        Raises:
            MonitorError: the pipeline made none.
        """
        entry = self.lock.outs.get(str(MODELS / horizon / name))
        if entry is None:
            raise MonitorError(
                f"{LOCK_FILE} of {self.commit[:7]} has no {MODELS / horizon / name}; `dvc repro` "
                "and commit"
            )
        return entry.md5

    def md5s(self) -> dict[str, str]:
        """The md5 of each horizon's model."""
        return {horizon: self.md5(horizon) for horizon in self.horizons}

    def as_of(self, horizon: str) -> date:
        """The newest session that the model of a horizon was trained on."""
        model = str(MODELS / horizon / "model.onnx")
        for stage in self.lock.stages.values():
            if any(out.path == model for out in stage.outs) and AS_OF in flat(stage.params):
                return date.fromisoformat(str(flat(stage.params)[AS_OF]))
        return self.newest

    @property
    def newest(self) -> date:
        """Its `data.as_of`."""
        return date.fromisoformat(str(self.params["data"]["as_of"]))


def at(revision: str, root: Path) -> Contestant:
    """The models of a revision.

    Raises:
        VersionError: there is no such revision, or it has no `dvc.lock`.
    """
    commit = git.commit(revision, root)
    params = yaml.load(git.content(commit, PARAMS_FILE, root) or b"", Loader=yaml.CSafeLoader) or {}
    return Contestant(commit, root, params, lock.at(commit, root))


def present(root: Path) -> Contestant:
    """The models of the working tree, as its `dvc.lock` names them.

    Raises:
        VersionError: there is no `dvc.lock`.
    """
    text = (root / PARAMS_FILE).read_bytes() if (root / PARAMS_FILE).exists() else b""
    return Contestant("workspace", root, yaml.safe_load(text) or {}, lock.read(root / LOCK_FILE))


def trained(champion: Contestant, horizon: str) -> Contestant:
    """The first commit in the line of a commit that has the same model of a horizon.

    A refresh that keeps the models moves the data of later commits: only here do lock and model
    belong together.
    """
    md5 = champion.md5(horizon)
    listed = git.git(
        *("log", "--first-parent", "--format=%H", champion.commit, "--", str(LOCK_FILE)),
        folder=champion.root,
    )
    first = champion.commit
    for commit in listed.splitlines():
        text = git.content(commit, LOCK_FILE, champion.root)
        entry = None if text is None else lock.parse(text).outs.get(str(_model(horizon)))
        if entry is None or entry.md5 != md5:
            break
        first = commit
    return at(first, champion.root)


def differences(champion: Contestant, challenger: Contestant, horizon: str) -> list[str]:
    """What made two models of a horizon differ beside newer data: params by key, and code files.

    Args:
        champion: at the commit where it was trained.
        challenger: likewise.
        horizon: of both.
    """
    one, other = (_lineage(each, horizon) for each in (champion, challenger))
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))


def _lineage(contestant: Contestant, horizon: str) -> dict[str, Any]:
    """The params, code files and commands that made a model."""
    lineage: dict[str, Any] = {}
    for step in trace(contestant.lock, str(_model(horizon))).stages:
        lineage |= {key: value for key, value in step.params.items() if key != AS_OF}
        lineage |= {entry.path: entry.md5 for entry in step.code}
        lineage[step.name] = step.cmd
    return lineage


def _model(horizon: str) -> Path:
    return MODELS / horizon / "model.onnx"
