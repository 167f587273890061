"""A DVC project of two stages that run as the real ones do, and obey `orders.json`."""

import json
import shutil
from pathlib import Path

from tests.projects import ROOT, Project

PIPELINE = """
stages:
  first:
    cmd: python stage.py first
    deps:
    - stage.py
    - orders/first.json
    outs:
    - made/first
  second:
    cmd: python stage.py second
    deps:
    - stage.py
    - made/first
    - orders/second.json
    outs:
    - made/second
"""

STAGE = '''
"""A stage that waits, fails or ends, as it is told."""

import json
import sys
import time
from pathlib import Path

from stages.common.errors import StageError
from stages.common.running import run


def main() -> None:
    name = sys.argv[1]
    orders = json.loads(Path(f"orders/{name}.json").read_text())
    print(f"{name} begins", flush=True)
    time.sleep(orders["seconds"])
    if orders["error"]:
        raise StageError(orders["error"])
    Path("made").mkdir(exist_ok=True)
    Path(f"made/{name}").write_text(json.dumps(orders))


run(main)
'''


def tiny(folder: Path) -> Project:
    """Committed, and not reproduced."""
    folder.mkdir()
    project = Project(folder)
    project.git("init", "--quiet", "--initial-branch=main")
    project.git("config", "user.email", "tests@example.org")
    project.git("config", "user.name", "Tests")
    project.dvc("init", "--quiet")
    (folder / "dvc.yaml").write_text(PIPELINE, encoding="utf-8")
    (folder / "stage.py").write_text(STAGE, encoding="utf-8")
    (folder / ".gitignore").write_text("var/\n__pycache__/\n", encoding="utf-8")
    shutil.copy(ROOT / "params.yaml", folder)
    (folder / "orders").mkdir()
    order(project, "first")
    order(project, "second")
    project.git("add", "--all")
    project.git("commit", "--quiet", "--no-verify", "--message=First")
    return project


def order(project: Project, stage: str, seconds: float = 0, error: str = "") -> None:
    """Tell a stage how long to take, and with which error to fail."""
    text = json.dumps({"seconds": seconds, "error": error})
    (project.folder / "orders" / f"{stage}.json").write_text(text, encoding="utf-8")
