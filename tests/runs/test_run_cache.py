"""Every stage can use DVC's run cache, and the first stage checks the whole of params.yaml."""

import re
from pathlib import Path

import pytest
import yaml

from tests.projects import Project

pytestmark = pytest.mark.slow


def test_every_stage_is_in_the_run_cache(brief_history: Path) -> None:
    lock = yaml.safe_load((brief_history / "dvc.lock").read_text(encoding="utf-8"))
    cached = {
        yaml.safe_load(path.read_text(encoding="utf-8"))["cmd"]
        for path in (brief_history / ".dvc/cache/runs").glob("*/*/*")
    }
    commands = {stage["cmd"] for stage in lock["stages"].values()}
    pipeline = yaml.safe_load((brief_history / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert len(commands) == len(pipeline)
    assert commands <= cached


def test_no_output_persists(repo_root: Path) -> None:
    assert "persist: true" not in (repo_root / "dvc.yaml").read_text(encoding="utf-8")


def test_what_an_earlier_run_made_is_not_made_again(brief: Project) -> None:
    brief.set("    alpha: 10.0", "    alpha: 2.0")
    assert "Running stage 'train@short-ridge'" in brief.dvc("repro", "train@short-ridge")
    graph = brief.folder / "models/candidates/short/ridge/model.onnx"
    other = graph.read_bytes()
    brief.set("    alpha: 2.0", "    alpha: 10.0")
    log = brief.dvc("repro", "train@short-ridge")
    assert "Stage 'train@short-ridge' is cached - skipping run" in log
    assert graph.read_bytes() != other
    assert "up to date" in brief.dvc("status", "train@short-ridge")


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ("  sma:\n  - 7\n", "  sma:\n  - 0\n", "features.sma: windows must be positive integers"),
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
    brief: Project, old: str, new: str, mistake: str
) -> None:
    before = contents(brief.folder / "data")
    brief.set(old, new)
    log = brief.dvc("repro", check=False)
    assert re.findall(r"^Running stage '([^']+)'", log, re.MULTILINE) == ["params"]
    assert f"error: {mistake}" in log
    assert "failed to reproduce 'params'" in log
    assert contents(brief.folder / "data") == before
