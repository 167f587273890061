"""A clone of the project in which challengers are trained and commits are prepared.

A clone, not a worktree or `dvc exp run --temp`: git and DVC of the served checkout know nothing of
it, so that it can be deleted at any moment, and a run in it locks nothing. It shares the cache:
nothing is computed twice, and the project has the outputs of a clone.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from monitor import child_process
from monitor.settings import MonitorError
from stages.common.sections import PARAMS_FILE
from versions import as_of
from versions.repository import git, lock
from versions.repository.lock import LOCK_FILE
from versions.tuning.trial import reason
from versions.values import compact


@dataclass(frozen=True)
class TrainingClone:
    """A clone.

    Attributes:
        folder: of the clone.
        root: of the project.
        lock: the lock of the run; the commands that run in the clone inherit it.
    """

    folder: Path
    root: Path
    lock: IO[str]

    @property
    def log(self) -> Path:
        """What the commands printed."""
        return self.folder.with_suffix(".log")

    def make(self, commit: str) -> None:
        """Clone the project anew and check a commit out, with its data and models.

        Raises:
            VersionError: git refuses, or there is no such commit.
            MonitorError: DVC refuses.
        """
        self.remove()
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        git.git("clone", "--quiet", "--no-checkout", "--local", str(self.root), str(self.folder))
        # A commit that no branch has is not cloned.
        self.git("fetch", "--quiet", "--no-tags", "origin", "+refs/monitor/*:refs/monitor/*")
        self.git("config", "core.hooksPath", os.devnull)
        for key in ("user.name", "user.email"):
            value = git.git("config", "--default", "", "--get", key, folder=self.root)
            if value:
                self.git("config", key, value)
        self.git("checkout", "--quiet", "--detach", commit)
        self._share_cache()
        self._copy_inputs()
        self.check_out()

    def check_out(self) -> None:
        """Bring data and models, as far as the cache has them."""
        check_out(self.folder, force=True)

    def remove(self) -> None:
        """Delete it; what it made stays in the cache, and its log beside it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def git(self, *arguments: str) -> str:
        """Run a git command in it; returns what it printed."""
        return git.git(*arguments, folder=self.folder)

    def dvc(self, *arguments: str) -> None:
        """Run a DVC command in it.

        Raises:
            MonitorError: it failed.
        """
        self.run("dvc", *arguments)

    def run(self, module: str, *arguments: str) -> None:
        """Run a module in it.

        Raises:
            MonitorError: it failed; with the line that says why.
        """
        with self.log.open("ab") as printed:
            begin = printed.tell()
            failed = subprocess.run(  # noqa: S603  # no shell
                [sys.executable, "-m", module, *arguments],
                cwd=self.folder,
                env=child_process.environment(),
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                pass_fds=[self.lock.fileno()],
                check=False,
            ).returncode
        if failed:
            output = self.log.read_bytes()[begin:].decode("utf-8", "replace")
            raise MonitorError(f"{module} {arguments[0]}: {reason(output)}; more in {self.log}")

    def train(self, name: str, day: str, changes: Mapping[str, object]) -> str:
        """Move `data.as_of`, change params, and run the pipeline as an experiment.

        Args:
            name: of the experiment.
            day: the newest session that it may know.
            changes: values of params by dotted key.

        Returns:
            The commit of the experiment.

        Raises:
            MonitorError: a stage failed, or there was nothing to do.
        """
        self._move(day)
        options = [f"--set-param={key}={compact(value)}" for key, value in changes.items()]
        self.dvc("exp", "run", "--name", name, *options)
        listed = self.git("for-each-ref", "--format=%(refname)", "refs/exps").splitlines()
        ref = next((ref for ref in listed if ref.endswith(f"/{name}")), None)
        if ref is None:
            raise MonitorError("the pipeline had nothing to do: no challenger came of it")
        # In the served project it stands beside the experiments of people.
        git.git(
            "fetch", "--quiet", "--no-tags", str(self.folder), f"+{ref}:{ref}", folder=self.root
        )
        return git.commit(ref, self.folder)

    def refresh(self, day: str) -> None:
        """Bring the bars up to a day and leave the models as they are (`make refresh KEEP=models`).

        Raises:
            MonitorError: a stage failed.
        """
        self.check_out()
        self._move(day)
        self.dvc("repro", "--quiet", "latest")

    def _move(self, day: str) -> None:
        params = self.folder / PARAMS_FILE
        params.write_bytes(as_of.moved(params.read_bytes().decode("utf-8"), day).encode("utf-8"))

    def hand_over(self, commit: str, ref: str) -> None:
        """Give the project a commit of this clone under a ref."""
        self.git("update-ref", ref, commit)
        git.git(
            "fetch", "--quiet", "--no-tags", str(self.folder), f"+{ref}:{ref}", folder=self.root
        )

    def _share_cache(self) -> None:
        from dvc.config import Config
        from dvc.repo import Repo

        local = Path(".dvc/config.local")
        if (self.root / local).exists():
            shutil.copy2(self.root / local, self.folder / local)
        with Repo(str(self.root)) as repo:
            cache = repo.cache.local_cache_dir
        with Config(str(self.folder / ".dvc")).edit("local") as content:
            content.setdefault("cache", {})["dir"] = cache

    def _copy_inputs(self) -> None:
        """Bring what stages read that neither git nor DVC has, such as a user's own files."""
        text = git.content("HEAD", LOCK_FILE, self.folder)
        if text is None:
            raise MonitorError(f"HEAD has no {LOCK_FILE}; `dvc repro` and commit first")
        stages = lock.parse(text).stages.values()
        read = sorted({dep.path for stage in stages for dep in stage.deps})
        outputs = {out.path for stage in stages for out in stage.outs}
        inputs = [path for path in read if path not in outputs and (self.root / path).exists()]
        if not inputs:
            return
        for kind in ((), ("--ignored", "--exclude-standard")):
            listed = git.git("ls-files", "-z", "--others", *kind, "--", *inputs, folder=self.root)
            for name in filter(None, listed.split("\0")):
                inside = any(Path(name).is_relative_to(path) for path in outputs)
                if not inside and "__pycache__" not in name:
                    (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(self.root / name, self.folder / name)


def check_out(folder: Path, *, force: bool = False) -> None:
    """Bring the data and models of the `dvc.lock` of a folder from the cache.

    Args:
        folder: of the project or a clone.
        force: drop files that are in no cache, and do without those that the cache lacks.

    Raises:
        MonitorError: DVC refuses.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(folder)) as repo:
            repo.checkout(force=force, allow_missing=force)
    except DvcException as error:
        raise MonitorError(f"dvc checkout: {error}") from None
