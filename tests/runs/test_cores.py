"""The bytes of an output depend on neither the number of cores nor that of threads.

Models on one core are tested in tests/stages/forecast/test_models.py too, and `.ci/run` runs the
whole pipeline on one; CI_FULL=1 trains each of them here as well.
"""

import os
import shutil
import sys

import pytest
import yaml

from tests.projects import ROOT, Project

pytestmark = pytest.mark.slow

THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "RAYON_NUM_THREADS",
)


def models() -> list[str]:
    if os.environ.get("CI_FULL") != "1":
        return []
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    return list(params["models"])


STAGES = """
import runpy, sys

for command in sys.argv[1:]:
    sys.argv = command.split()
    runpy.run_module(f"stages.{sys.argv[0]}", run_name="__main__", alter_sys=True)
"""


def rerun(project: Project, commands: list[str], *before: str) -> None:
    """Run stages again over their outputs, and have DVC compare these with its lock."""
    # In one process: each would import the same libraries.
    printed = project.run(*before, sys.executable, "-c", STAGES, *commands)
    assert printed.count("->") >= len(commands)
    assert "up to date" in project.dvc("status")
    assert project.git("status", "--porcelain") == ""


@pytest.mark.skipif(shutil.which("taskset") is None, reason="there is no taskset to pin with")
def test_one_core_makes_the_same_bytes(project: Project) -> None:
    allowed = project.run("sh", "-c", "taskset --cpu-list --pid $$").rsplit(maxsplit=1)[-1]
    core = allowed.split(",")[0].split("-")[0]
    stages = ["features", "dataset short", *(f"train short {model}" for model in models())]
    rerun(project, [*stages, "evaluate short", "backtest short"], "taskset", "--cpu-list", core)


def test_more_threads_than_cores_make_the_same_bytes(project: Project) -> None:
    trained = ["features", "train short ridge", "train short lightgbm"]
    stages = [*trained, "evaluate short", "backtest short"]
    rerun(project, stages, "env", *(f"{name}=5" for name in THREADS))
