"""The revision that is checked out: git names it, or a setting where there is no git."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stages.common.errors import VersionError
from versions.repository import git
from versions.repository.lock import LOCK_FILE

_VERSION = re.compile(r"v\d+\.\d+\.\d+")


@dataclass(frozen=True)
class Revision:
    """Where models come from.

    Attributes:
        name: the commit, with `-dirty` if dvc.lock has uncommitted changes; `unknown` if neither
            git nor a setting names it.
        versions: per horizon, the newest release whose model this is.
    """

    name: str
    versions: Mapping[str, str] = field(default_factory=dict)


def of(root: Path, lock: bytes, models: dict[str, str], named: str = "") -> Revision:
    """The revision that a `dvc.lock` belongs to.

    Args:
        lock: the bytes of its dvc.lock.
        models: md5 of each horizon's model.
        named: its name where there is no git.
    """
    try:
        commit = git.commit("HEAD", root)
        path = f"{git.git('rev-parse', '--show-prefix', folder=root)}{LOCK_FILE}"
        same = git.content(commit, path, root) == lock
        return Revision(commit if same else f"{commit}-dirty", _versions(root, path, models))
    except VersionError:
        return Revision(named or "unknown")


def _versions(root: Path, lock_path: str, models: dict[str, str]) -> dict[str, str]:
    """The newest release of each horizon, a tag such as `short@v1.2.0`, whose model is the same."""
    listed = git.git(
        *("for-each-ref", "--sort=-version:refname", "--format=%(refname:short)"),
        "refs/tags/*@v*",
        folder=root,
    )
    versions: dict[str, str] = {}
    for tag in listed.splitlines():
        horizon, _, version = tag.partition("@")
        if horizon not in models or horizon in versions or not _VERSION.fullmatch(version):
            continue
        if models[horizon].encode() in (git.content(tag, lock_path, root) or b""):
            versions[horizon] = version
    return versions
