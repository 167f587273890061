"""The model of an answer, brought back from the past into a temporary place.

The user's checkout is only read: the temporary one borrows its git objects and its DVC cache. What
has to be fetched from the remote goes into that cache, as after a `dvc pull`.
"""

import configparser
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from serve.checkout.bundle import Card
from serve.replay.logged import Logged, ReplayError
from stages.common.errors import VersionError
from stages.common.paths import MODELS
from versions.repository import commits as search
from versions.repository import git, lock
from versions.repository.at_hand import digest
from versions.repository.commits import Commit

CONFIG, LOCAL = Path(".dvc/config"), Path(".dvc/config.local")


@dataclass(frozen=True)
class Origin:
    """Where the model of an answer is.

    Attributes:
        commit: whose `dvc.lock` has it.
        note: why this is not the commit that the answer named; empty if it is.
    """

    commit: Commit
    note: str


@dataclass(frozen=True)
class Past:
    """The model, at hand again."""

    card: Card
    graph: bytes


def graph_path(horizon: str) -> str:
    """Where the model of a horizon lies in a project."""
    return (MODELS / horizon / "model.onnx").as_posix()


def origin(root: Path, logged: Logged) -> Origin:
    """The commit that made an answer's model: that which it names, or another that has the model.

    Raises:
        ReplayError: no commit at hand has it.
    """
    path, named = graph_path(logged.horizon), logged.revision.removesuffix("-dirty")
    try:
        commit = git.commit(named, root)
        entry = lock.at(commit, root).outs.get(path)
        if entry is not None and entry.md5 == logged.model_md5:
            note = ""
            if logged.revision.endswith("-dirty"):
                note = "its dvc.lock had changes that were not committed, but not to the model"
            return Origin(search.describe([commit], root)[commit], note)
        reason = f"{logged.revision} as it was committed has another model"
    except VersionError:
        reason = f"there is no revision {named} here"
    try:
        sightings = search.search(logged.model_md5, root).sightings
    except VersionError as error:
        raise ReplayError(f"{reason}, and {error}") from None
    commits = [found.commit for found in sightings if path in found.paths]
    if not commits:
        raise ReplayError(f"{reason}, and no commit has model {logged.model_md5} as {path}")
    return Origin(commits[0], f"{reason}; this one has the same model")


@contextmanager
def checkout(root: Path, commit: str) -> Iterator[Path]:
    """A commit in a temporary place, with git and DVC set up there; gone at the end.

    Raises:
        ReplayError: git or DVC refuse.
    """
    with tempfile.TemporaryDirectory(prefix="replay-") as name:
        folder = Path(name) / "project"
        try:
            _check_out(root, commit, folder)
        except VersionError as error:
            raise ReplayError(f"{commit} cannot be checked out: {error}") from None
        _set_up_dvc(root, folder)
        yield folder


def bring(folder: Path, logged: Logged) -> Past:
    """Bring the model of an answer into a checkout, from the cache or the remote.

    Raises:
        ReplayError: neither has it, or it is not what was logged.
    """
    graph = graph_path(logged.horizon)
    card = graph.replace("model.onnx", "card.json")
    refused = _dvc(folder, "checkout", graph, card)
    if refused:
        refused = _dvc(folder, "pull", graph, card)
    missing = [path for path in (graph, card) if not (folder / path).exists()]
    if missing:
        raise ReplayError(
            f"{missing[0]} of that commit cannot be had: it is not in the cache, and `dvc pull` "
            f"says: {refused or 'nothing'}"
        )
    if (found := digest(folder / graph)) != logged.model_md5:
        raise ReplayError(
            f"{graph}: md5 is {found}, {logged.model_md5} answered; remove it from the DVC cache, "
            "and `dvc pull`"
        )
    try:
        described = Card.model_validate_json((folder / card).read_bytes())
    except ValidationError:
        raise ReplayError(f"{card} of that commit is no model card that is understood") from None
    return Past(described, (folder / graph).read_bytes())


def _check_out(root: Path, commit: str, folder: Path) -> None:
    # No clone: that would leave out commits to which no branch leads.
    folder.mkdir()
    git.git("init", "--quiet", "--template=", folder=folder)
    for name in ("objects", "shallow"):
        place = Path(git.git("rev-parse", "--git-path", name, folder=root))
        source = (root / place).resolve()
        if name == "objects":
            (folder / ".git/objects/info").mkdir(parents=True, exist_ok=True)
            (folder / ".git/objects/info/alternates").write_text(f"{source}\n", encoding="utf-8")
        elif source.exists():
            (folder / ".git/shallow").write_bytes(source.read_bytes())
    quiet = ("-c", f"core.hooksPath={os.devnull}", "-c", "advice.detachedHead=false")
    git.git(*quiet, "checkout", "--quiet", "--detach", commit, folder=folder)


def _set_up_dvc(root: Path, folder: Path) -> None:
    """The settings of the user, and the user's cache; paths in them are from the user's folder."""
    own = configparser.ConfigParser(interpolation=None)
    own.read(root / LOCAL, encoding="utf-8")
    committed = configparser.ConfigParser(interpolation=None)
    committed.read(folder / CONFIG, encoding="utf-8")
    for config in (committed, own):
        for section in config.sections():
            url = config.get(section, "url", fallback="")
            if url and "://" not in url and not Path(url).is_absolute():
                own.read_dict({section: {"url": str((root / LOCAL.parent / url).resolve())}})
    asked = _run(root, folder.parent, "cache", "dir")
    if asked.returncode:
        raise ReplayError(f"dvc cache dir: {_reason(asked.stderr)}")
    cache = asked.stdout.strip()
    own.read_dict({"cache": {"dir": str((root / cache).resolve())}})
    # It may hold credentials.
    (folder / LOCAL).touch(mode=0o600)
    with (folder / LOCAL).open("w", encoding="utf-8") as file:
        own.write(file)


def _dvc(folder: Path, *command: str) -> str:
    """Run DVC; returns why it refused, or nothing."""
    done = _run(folder, folder.parent, *command)
    return _reason(done.stderr) if done.returncode else ""


def _run(folder: Path, temporary: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    # In a process of its own: the server's modules must not import DVC.
    return subprocess.run(  # noqa: S603  # no shell
        [sys.executable, "-m", "dvc", *command],
        cwd=folder,
        env={**os.environ, "DVC_NO_ANALYTICS": "true", "TMPDIR": str(temporary)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def _reason(printed: str) -> str:
    lines = [line for line in printed.splitlines() if line.startswith("ERROR")]
    return (lines or printed.splitlines() or ["it failed"])[0].removeprefix("ERROR: ")
