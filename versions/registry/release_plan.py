"""What a release, a promotion or a roll back will do, and the checks before it."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from stages import params
from stages.common.errors import VersionError, few
from stages.common.sections import PARAMS_FILE
from versions.registry import tags
from versions.repository import git


@dataclass(frozen=True)
class Plan:
    """What a release, a promotion or a roll back will do, once its checks have passed.

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


def check_horizon(horizon: str, folder: Path | None) -> None:
    """Check that `params.yaml` has a horizon, and that a tag can have its name.

    Raises:
        ParamsError: `params.yaml` has no such horizon.
        VersionError: none is named, or GTO would refuse the name.
    """
    settings = params.load((folder or Path()) / PARAMS_FILE)
    if not horizon:
        raise VersionError(f"HORIZON is missing; name one of {few(settings.horizons, 20)}")
    settings.sessions(horizon)
    if not tags.is_name(horizon):
        raise VersionError(f"{horizon}: GTO accepts no name that ends with _; rename the horizon")


def check_tree(folder: Path | None) -> None:
    """Check that nothing has changed since the commit.

    Raises:
        VersionError: something has.
    """
    changed = git.changes(folder)
    if changed:
        raise VersionError(
            f"the tree is not clean: {few(changed)}; commit or `git stash --include-untracked`"
        )


def check_artifact(horizon: str, commit: str, folder: Path | None) -> None:
    """Check that `dvc.yaml` of a commit lists the model of a horizon as an artifact.

    Raises:
        VersionError: it does not.
    """
    text = git.content(commit, "dvc.yaml", folder) or b""
    content = yaml.safe_load(text) or {}
    artifact = (content.get("artifacts") or {}).get(horizon) or {}
    path = f"models/{horizon}"
    if artifact.get("path") != path:
        raise VersionError(
            f"dvc.yaml of {commit[:7]} does not list {horizon} as an artifact; add below "
            f"`artifacts:`, indented, `{horizon}: {{path: {path}, type: model}}` and commit"
        )
