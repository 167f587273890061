"""The model of an answer, fetched again from the commit that made it.

The user's checkout is only read: DVC takes the files of the commit from its cache or the remote and
writes them into a temporary folder.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from serve.checkout.bundle import Card, Model
from serve.replay.logged import Logged, ReplayError
from stages.common.errors import VersionError
from stages.common.paths import MODELS
from stages.common.text import first_line
from stages.forecast.session import Session
from versions.repository import commits, git, lock
from versions.repository.commits import Commit
from versions.repository.workspace import digest


def graph_path(horizon: str) -> str:
    """Where the model of a horizon lies in a project."""
    return (MODELS / horizon / "model.onnx").as_posix()


def find(root: Path, logged: Logged) -> tuple[Commit, str]:
    """The commit of an answer's model, and why it is not the one that the answer named, or "".

    Raises:
        ReplayError: no commit in this repository has the model.
    """
    path, named = graph_path(logged.horizon), logged.revision.removesuffix("-dirty")
    try:
        commit = git.commit(named, root)
        entry = lock.at(commit, root).outs.get(path)
        if entry is not None and entry.md5 == logged.model_md5:
            note = ""
            if logged.revision.endswith("-dirty"):
                note = "its dvc.lock had changes that were not committed, but not to the model"
            return commits.describe([commit], root)[commit], note
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
    return having[0], f"{reason}; this one has the same model"


def fetch(root: Path, commit: str, logged: Logged) -> Model:
    """Fetch the model of an answer from the DVC cache or the remote, and load it.

    Raises:
        ReplayError: neither has it, it differs from the model that answered, or cannot be loaded.
    """
    with tempfile.TemporaryDirectory(prefix="replay-") as name:
        for file in ("model.onnx", "card.json"):
            _get(root, commit, MODELS / logged.horizon / file, Path(name) / file)
        graph, card = Path(name) / "model.onnx", Path(name) / "card.json"
        if (md5 := digest(graph)) != logged.model_md5:
            raise ReplayError(
                f"{graph_path(logged.horizon)}: md5 is {md5}, {logged.model_md5} answered; remove "
                "it from the DVC cache, and `dvc pull`"
            )
        try:
            session = Session(graph.read_bytes())
        except Exception as error:  # noqa: BLE001  # onnxruntime raises classes of its own
            raise ReplayError(
                f"the model cannot be loaded by this onnxruntime: {first_line(error)}"
            ) from None
        return Model(logged.horizon, Card.model_validate_json(card.read_bytes()), session, md5)


def _get(root: Path, commit: str, path: Path, to: Path) -> None:
    # In a process of its own: the server's modules must not import DVC.
    done = subprocess.run(  # noqa: S603  # no shell
        [sys.executable, "-m", "dvc", "get", ".", str(path), "--rev", commit, "--out", str(to)],
        cwd=root,
        env={**os.environ, "DVC_NO_ANALYTICS": "true", "TMPDIR": str(to.parent)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise ReplayError(
            f"{path} of commit {commit[:10]} cannot be fetched: neither the DVC cache nor a remote "
            f"has it; `dvc get` says: {(lines or ['nothing'])[0].removeprefix('ERROR: ')}"
        )
