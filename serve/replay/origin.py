"""The model of an answer, fetched again from the commit that made it.

The user's checkout is only read: DVC takes the files of the commit from its cache or the remote and
writes them into a temporary folder.
"""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from serve.checkout.bundle import Card
from serve.replay.logged import Logged, ReplayError
from stages.common.errors import VersionError
from stages.common.paths import MODELS
from versions.repository import commits, git, lock
from versions.repository.commits import Commit
from versions.repository.workspace import digest


@dataclass(frozen=True)
class Origin:
    """Which commit has the model of an answer.

    Attributes:
        commit: its `dvc.lock` has the md5 of the model.
        note: why this is not the commit that the answer named; empty if it is.
    """

    commit: Commit
    note: str


@dataclass(frozen=True)
class ModelFiles:
    """A model as its commit has it."""

    card: Card
    graph: bytes


def graph_path(horizon: str) -> str:
    """Where the model of a horizon lies in a project."""
    return (MODELS / horizon / "model.onnx").as_posix()


def find(root: Path, logged: Logged) -> Origin:
    """The commit of an answer's model: the one that the answer names, or another with that model.

    Raises:
        ReplayError: no commit in this repository has it.
    """
    path, named = graph_path(logged.horizon), logged.revision.removesuffix("-dirty")
    try:
        commit = git.commit(named, root)
        entry = lock.at(commit, root).outs.get(path)
        if entry is not None and entry.md5 == logged.model_md5:
            note = ""
            if logged.revision.endswith("-dirty"):
                note = "its dvc.lock had changes that were not committed, but not to the model"
            return Origin(commits.describe([commit], root)[commit], note)
        reason = f"{logged.revision} as it was committed has another model"
    except VersionError:
        reason = f"there is no revision {named} here"
    try:
        sightings = commits.search(logged.model_md5, root).sightings
    except VersionError as error:
        raise ReplayError(f"{reason}, and {error}") from None
    having = [sighting.commit for sighting in sightings if path in sighting.paths]
    if not having:
        raise ReplayError(f"{reason}, and no commit has model {logged.model_md5} as {path}")
    return Origin(having[0], f"{reason}; this one has the same model")


def fetch(root: Path, commit: str, logged: Logged) -> ModelFiles:
    """Fetch the model of an answer from the DVC cache or the remote.

    Raises:
        ReplayError: neither has it, or it differs from the model that answered.
    """
    with tempfile.TemporaryDirectory(prefix="replay-") as name:
        graph, card = Path(name) / "model.onnx", Path(name) / "card.json"
        for file in (graph, card):
            path = (MODELS / logged.horizon / file.name).as_posix()
            refusal = _dvc_get(root, commit, path, file)
            if refusal:
                raise ReplayError(
                    f"{path} of commit {commit[:10]} cannot be fetched: neither the DVC cache nor "
                    f"a remote has it; `dvc get` says: {refusal}"
                )
        if (md5 := digest(graph)) != logged.model_md5:
            raise ReplayError(
                f"{graph_path(logged.horizon)}: md5 is {md5}, {logged.model_md5} answered; remove "
                "it from the DVC cache, and `dvc pull`"
            )
        try:
            return ModelFiles(Card.model_validate_json(card.read_bytes()), graph.read_bytes())
        except ValidationError:
            raise ReplayError(f"{card.name} of commit {commit[:10]} is not a model card") from None


def _dvc_get(root: Path, commit: str, path: str, to: Path) -> str:
    """Run `dvc get` in a project; returns why it failed, or nothing."""
    # In a process of its own: the server's modules must not import DVC.
    done = subprocess.run(  # noqa: S603  # no shell
        [sys.executable, "-m", "dvc", "get", ".", path, "--rev", commit, "--out", str(to)],
        cwd=root,
        env={**os.environ, "DVC_NO_ANALYTICS": "true", "TMPDIR": str(to.parent)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if not done.returncode:
        return ""
    lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    return (lines or done.stderr.splitlines() or ["it failed"])[0].removeprefix("ERROR: ")
