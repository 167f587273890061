"""A project of one small stage, for what does not depend on the real pipeline."""

import shutil
from pathlib import Path

from tests.projects import ROOT, Project

PIPELINE = """
stages:
  evaluate:
    cmd: python make.py
    deps:
    - make.py
    params:
    - evaluate.level
    outs:
    - data/raw
    - models/short/model.onnx
    metrics:
    - metrics/short.json:
        cache: false
artifacts:
  short:
    path: models/short
    type: model
"""

MAKE = """
import json, pathlib, yaml

level = yaml.safe_load(open("params.yaml"))["evaluate"]["level"]
for name in ("data/raw", "models/short", "metrics"):
    pathlib.Path(name).mkdir(parents=True, exist_ok=True)
for name in ("AAPL", "IBM"):
    pathlib.Path("data/raw", name).write_text(f"{name} {level}")
pathlib.Path("models/short/model.onnx").write_text(f"model {level}")
pathlib.Path("metrics/short.json").write_text(json.dumps({"mae": level / 100, "auc": 0.5}))
"""


def small(folder: Path) -> Project:
    """Reproduced and committed; the default remote is the folder `remote` beside it."""
    folder.mkdir()
    project = Project(folder)
    project.git("init", "--quiet", "--initial-branch=main")
    project.git("config", "user.email", "tests@example.org")
    project.git("config", "user.name", "Tests")
    project.git("config", "advice.detachedHead", "false")
    project.dvc("init", "--quiet")
    (folder / "dvc.yaml").write_text(PIPELINE, encoding="utf-8")
    (folder / "make.py").write_text(MAKE, encoding="utf-8")
    shutil.copy(ROOT / "params.yaml", folder)
    project.dvc("remote", "add", "--quiet", "--default", "storage", "../remote")
    project.dvc("repro", "--quiet")
    commit(project, "First")
    return project


def again(project: Project, level: float) -> None:
    """Make and commit a revision with another param."""
    path = project.folder / "params.yaml"
    before, _, after = path.read_text(encoding="utf-8").partition("  level: ")
    path.write_text(f"{before}  level: {level}\n{after.partition(chr(10))[2]}", encoding="utf-8")
    project.dvc("repro", "--quiet")
    commit(project, f"Level {level}")


def commit(project: Project, message: str) -> None:
    """Commit whatever there is."""
    project.git("add", "--all")
    project.git("commit", "--quiet", "--no-verify", f"--message={message}")
