"""One real run of the whole pipeline, shared by every test that needs one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).parents[2]


class Project:
    """A checkout of the project with its own DVC cache, in which commands are run for real."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *command: str, check: bool = True, **environment: str) -> str:
        """Run a command as a user would; returns what it printed on both streams."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**os.environ, "PATH": path, "COLUMNS": "200", **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)} exited {done.returncode}:\n{done.stdout}")
        return done.stdout

    def dvc(self, *arguments: str, check: bool = True, **environment: str) -> str:
        """Run a DVC command."""
        return self.run("dvc", *arguments, check=check, **environment)

    def git(self, *arguments: str) -> str:
        """Run a git command."""
        return self.run("git", *arguments)

    def set(self, old: str, new: str, name: str = "params.yaml") -> None:
        """Change a file as an editor would; what is to be changed must be there."""
        path = self.folder / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")


def _checkout(folder: Path) -> Project:
    """The project as it stands, uncommitted changes included, as one commit of its own."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    project = Project(folder)
    project.git("init", "--quiet", "--initial-branch=main")
    project.git("config", "user.email", "tests@example.org")
    project.git("config", "user.name", "Tests")
    project.git("add", "--all")
    project.git("commit", "--quiet", "--no-verify", "--message=The project")
    return project


@pytest.fixture(scope="session")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh checkout after `dvc repro`; what it printed is in `.dvc/tmp/repro.log`.

    Made once for all workers; tests take a copy.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "reproduced"
    with FileLock(f"{folder}.lock"):
        if not (folder / ".done").exists():
            folder.mkdir()
            project = _checkout(folder)
            log = project.dvc("repro")
            (folder / ".dvc" / "tmp" / "repro.log").write_text(log, encoding="utf-8")
            (folder / ".git" / "info" / "exclude").write_text(".done\n", encoding="utf-8")
            (folder / ".done").touch()
    return folder


@pytest.fixture
def project(reproduced: Path, tmp_path: Path) -> Project:
    """A copy of the reproduced project, for one test to change."""
    folder = tmp_path / "project"
    shutil.copytree(reproduced, folder, symlinks=True)
    return Project(folder)


@pytest.fixture
def fresh(tmp_path: Path) -> Project:
    """A checkout in which nothing has been run."""
    folder = tmp_path / "fresh"
    folder.mkdir()
    return _checkout(folder)
