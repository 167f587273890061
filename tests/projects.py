"""Checkouts of the project in which commands are run for real; their fixtures are in conftest."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from tests import forks

ROOT = Path(__file__).parents[1]


class Project:
    """A checkout of the project with its own DVC cache, in which commands are run for real."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def venv(self) -> Path:
        """The environment whose programs it runs."""
        return Path(sys.prefix)

    def run(self, *command: str, check: bool = True, **environment: str) -> str:
        """Run a command as a user would; returns what it printed on both streams."""
        folders = (str(forks.folder()), str(self.venv / "bin"), os.environ["PATH"])
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


class Forked(Project):
    """The same, but stages and commands start as fast as `dvc`; no signal reaches them."""

    @property
    def venv(self) -> Path:
        """This environment with another `python`."""
        return forks.environment()


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


def copied(made: Path, folder: Path) -> Project:
    """A copy of a project, its DVC cache and all."""
    # In a third of the time that shutil takes.
    subprocess.run(["cp", "-a", str(made), str(folder)], check=True)
    return Project(folder)


def few_models(project: Project) -> None:
    """One horizon, ridge and a few trees on two folds, served though their skill may be chance.

    Otherwise every revision would serve the historical mean. No stage names its code: half of what
    such a pipeline takes is what DVC does with `dvc.lock`.
    """
    folder = project.folder
    params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    params["models"] = {
        "ridge": params["models"]["ridge"],
        "xgboost": params["models"]["xgboost"]
        | {"n_estimators": 20, "max_depth": 3, "min_leaf": 0.01},
    }
    params["horizons"] = {"short": params["horizons"]["short"]}
    params["train"]["folds"] = 2
    params["evaluate"]["significance"] = 1.0
    pipeline = yaml.safe_load((folder / "dvc.yaml").read_text(encoding="utf-8"))
    for stage in pipeline["stages"].values():
        stage["deps"] = [name for name in stage["deps"] if not name.startswith("stages/")]
    for name, content in {"params.yaml": params, "dvc.yaml": pipeline}.items():
        (folder / name).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    (folder / "dvc.lock").unlink()
    for path in (folder / "metrics").rglob("long*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
