"""Checkouts of the project in which commands are run for real; their fixtures are in conftest."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests import forks

ROOT = Path(__file__).parents[1]


class Project:
    """A checkout of the project with its own DVC cache, in which commands are run for real."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *command: str, check: bool = True, **environment: str) -> str:
        """Run a command as a user would; returns what it printed on both streams."""
        folders = (
            str(forks.folder() / "bin"),
            str(Path(sys.executable).parent),
            os.environ["PATH"],
        )
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**os.environ, "PATH": os.pathsep.join(folders), "COLUMNS": "200", **environment},
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

    def pack(self) -> None:
        """Put what git has into one file, so that a copy takes half the time."""
        self.git("repack", "-a", "-d", "--quiet")

    def experiment(self, name: str) -> str:
        """The commit of an experiment."""
        listed = self.git("for-each-ref", "--format=%(objectname) %(refname)", "refs/exps")
        (commit,) = [line.split()[0] for line in listed.splitlines() if line.endswith(f"/{name}")]
        return commit

    def set(self, old: str, new: str, name: str = "params.yaml") -> None:
        """Change a file as an editor would; what is to be changed must be there."""
        path = self.folder / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")


def checkout(folder: Path) -> Project:
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


def copied(source: Path, folder: Path) -> Project:
    """A copy of a project, its DVC cache and all."""
    # In a third of the time that shutil takes.
    subprocess.run(["cp", "-a", str(source), str(folder)], check=True)
    return Project(folder)
