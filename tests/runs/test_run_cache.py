"""Every stage can use DVC's run cache, and the first stage checks the whole of params.yaml."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from tests.projects import Project

pytestmark = pytest.mark.slow


def test_every_stage_is_in_the_run_cache(quick: Project) -> None:
    # In a fresh clone DVC does not run a stage of which git has all that it makes.
    shutil.rmtree(quick.folder / "metrics")
    quick.dvc("repro")
    lock = yaml.safe_load((quick.folder / "dvc.lock").read_text(encoding="utf-8"))
    cached = {
        yaml.safe_load(path.read_text(encoding="utf-8"))["cmd"]
        for path in (quick.folder / ".dvc/cache/runs").glob("*/*/*")
    }
    assert {stage["cmd"] for stage in lock["stages"].values()} <= cached


def test_no_output_persists(repo_root: Path) -> None:
    assert "persist: true" not in (repo_root / "dvc.yaml").read_text(encoding="utf-8")


def test_what_an_earlier_run_made_is_not_made_again(quick: Project) -> None:
    quick.set("    alpha: 10.0", "    alpha: 2.0")
    assert "Running stage 'train@short-ridge'" in quick.dvc("repro", "train@short-ridge")
    graph = quick.folder / "models/candidates/short/ridge/model.onnx"
    other = graph.read_bytes()
    quick.set("    alpha: 2.0", "    alpha: 10.0")
    log = quick.dvc("repro", "train@short-ridge")
    assert "Stage 'train@short-ridge' is cached - skipping run" in log
    assert graph.read_bytes() != other
    assert "up to date" in quick.dvc("status", "train@short-ridge")


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ("    alpha: 10.0", "    alhpa: 10.0", "models.ridge.alhpa: unknown key (did you mean al"),
        (
            "  significance: 0.05\n",
            "  significance: 0.1\nevaluat: {}\n",
            "evaluat: unknown key (did you mean eva",
        ),
        (
            "  scale:\n",
            "  scale:\n  - vol_15\n",
            "dataset.scale: no section of features makes vol_15 (did ",
        ),
    ],
)
def test_a_mistake_anywhere_stops_at_the_first_stage(
    quick: Project, old: str, new: str, mistake: str
) -> None:
    quick.set(old, new)
    log = quick.dvc("repro", check=False)
    assert re.findall(r"^Running stage '([^']+)'", log, re.MULTILINE) == ["params"]
    assert f"error: {mistake}" in log
    assert "failed to reproduce 'params'" in log
