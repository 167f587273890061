"""What `dvc repro` does, read from DVC's own answers on the real sample."""

import hashlib
import json
import re
from pathlib import Path

import pytest
import yaml

from tests.projects import Project

pytestmark = pytest.mark.slow

MODELS = ("ridge",)


def ran(log: str) -> set[str]:
    return set(re.findall(r"^Running stage '([^']+)'", log, re.MULTILINE))


def skipped(log: str) -> set[str]:
    return set(re.findall(r"^Stage '([^']+)' didn't change, skipping", log, re.MULTILINE))


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.md5(path.read_bytes()).hexdigest()  # noqa: S324
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_fresh_checkout_makes_the_bytes_that_are_in_the_lock(reproduced: Path) -> None:
    project = Project(reproduced)
    assert project.git("status", "--porcelain") == ""
    assert "Data and pipelines are up to date" in project.dvc("status")


def test_nothing_to_do_runs_nothing(quick: Project) -> None:
    assert ran(quick.dvc("repro")) == set()


def test_another_average_reruns_features_and_what_follows(quick: Project) -> None:
    quick.set("  - 21\n  ema:", "  - 21\n  - 50\n  ema:")
    log = quick.dvc("repro")
    assert {"ingest", "clean"} <= skipped(log)
    assert {"features", "validate", "latest", "dataset@short", "dataset@long"} <= ran(log)
    assert {"ingest", "clean"}.isdisjoint(ran(log))
    card = json.loads((quick.folder / "models/short/card.json").read_text(encoding="utf-8"))
    assert "dist_sma_50" in card["features"]


def test_another_param_of_one_model_retrains_that_model_only(project: Project) -> None:
    project.set("    max_depth: 3\n", "    max_depth: 2\n")
    log = project.dvc("repro")
    assert ran(log) == {
        "train@short-xgboost",
        "train@long-xgboost",
        "evaluate@short",
        "evaluate@long",
    }


def test_another_horizon_leaves_the_first_alone(quick: Project) -> None:
    quick.set("  long: 63", "  long: 21")
    log = quick.dvc("repro")
    assert {"dataset@short", *(f"train@short-{name}" for name in MODELS)} <= skipped(log)
    assert {"dataset@long", *(f"train@long-{name}" for name in MODELS)} <= ran(log)


def test_a_new_horizon_is_one_line(quick: Project) -> None:
    quick.set("  long: 63", "  long: 63\n  week: 5")
    log = quick.dvc("repro")
    assert {"dataset@week", "evaluate@week"} <= ran(log)
    assert {"dataset@short", "dataset@long"} <= skipped(log)
    assert (quick.folder / "models/week/model.onnx").exists()


def test_an_earlier_session_is_a_param(quick: Project) -> None:
    quick.set("as_of: '2012-12-31'", "as_of: '2012-12-28'")
    quick.dvc("repro")
    card = json.loads((quick.folder / "models/short/card.json").read_text(encoding="utf-8"))
    assert card["as_of"] == "2012-12-28"


def test_wrong_params_stop_before_anything_is_touched(quick: Project) -> None:
    before = digests(quick.folder / "data")
    quick.set("  sma:\n  - 7\n", "  sma:\n  - 0\n")
    log = quick.dvc("repro", check=False)
    assert "error: features.sma: windows must be positive integers, got [0, 21]" in log
    assert digests(quick.folder / "data") == before


KILL_WITHIN_WRITE = """
import os, signal, sys

if sys.argv[:1] == ["-m"] and "{stage}" in sys.orig_argv:
    import stages.tables as tables

    class Killer(tables.Writer):
        def _write(self, frame):
            super()._write(frame)
            os.kill(os.getpid(), signal.SIGKILL)

    tables.Writer = Killer
"""


@pytest.mark.parametrize("stage", ["clean", "features", "dataset", "train"])
def test_a_killed_stage_leaves_the_former_outputs_whole(
    quick: Project, tmp_path: Path, stage: str
) -> None:
    change = {
        "clean": ("  fill_limit: 0", "  fill_limit: 1"),
        "features": ("  - 21\n  ema:", "  - 21\n  - 50\n  ema:"),
        "dataset": ("test_share: 0.2", "test_share: 0.3"),
        "train": ("    alpha: 1.0", "    alpha: 2.0"),
    }[stage]
    quick.set(*change)
    before = {name: digests(quick.folder / name) for name in ("data", "models", "metrics")}
    (tmp_path / "sitecustomize.py").write_text(
        KILL_WITHIN_WRITE.replace("{stage}", f"stages.{stage}"), encoding="utf-8"
    )

    log = quick.dvc("repro", check=False, PYTHONPATH=f"{tmp_path}:{quick.folder}")

    assert "failed to reproduce" in log
    after = {name: digests(quick.folder / name) for name in ("data", "models", "metrics")}
    partial = {name for files in after.values() for name in files if ".partial" in name}
    whole = {
        name: {path: md5 for path, md5 in files.items() if path not in partial}
        for name, files in after.items()
    }
    made_before_the_kill = {"metrics": ("clean.json", "validation.json")}
    for name, files in before.items():
        for path, md5 in files.items():
            if path not in made_before_the_kill.get(name, ()):
                assert whole[name][path] == md5, path

    quick.dvc("repro")
    assert "Data and pipelines are up to date" in quick.dvc("status")
    assert not list(quick.folder.rglob("*.partial"))


def test_paths_of_the_stages_are_those_of_the_pipeline(reproduced: Path) -> None:
    from stages.common import paths

    pipeline = yaml.safe_load((reproduced / "dvc.yaml").read_text(encoding="utf-8"))
    text = json.dumps(pipeline)
    for name in ("RAW", "CLEAN", "FEATURES", "DATASETS", "CANDIDATES", "LATEST", "SESSIONS"):
        assert str(getattr(paths, name)) in text, name
    assert str(paths.ACTIONS) in text
