"""What `dvc repro` does, read from DVC's own answers on the real sample."""

import hashlib
import json
import re
from datetime import date
from pathlib import Path

import pytest

from stages.common import paths, tables
from stages.common.paths import DATASETS, MODELS
from tests.projects import ROOT, Project

pytestmark = pytest.mark.slow


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
    log = quick.dvc("repro")
    assert ran(log) == set()
    assert {"ingest", "evaluate@short", "evaluate@long"} <= skipped(log)


def test_another_average_reruns_features_and_what_follows(quick: Project) -> None:
    quick.set("  - 21\n  ema:", "  - 21\n  - 50\n  ema:")
    log = quick.dvc("repro", "dataset@short")
    assert skipped(log) == {"ingest", "clean"}
    assert ran(log) == {"params", "features", "validate", "dataset@short"}
    rows = tables.read(quick.folder / DATASETS / "short" / "train.parquet")
    assert "dist_sma_50" in rows.columns


def test_another_param_of_one_model_retrains_that_model_only(project: Project) -> None:
    project.set("    max_depth: 2\n", "    max_depth: 3\n")
    changed = json.loads(project.dvc("status", "--json"))
    assert set(changed) - {"params"} == {
        "train@short-xgboost",
        "train@long-xgboost",
        "evaluate@short",
        "evaluate@long",
    }


def test_a_new_horizon_and_another_one_leave_the_first_alone(quick: Project) -> None:
    quick.set("  long: 63", "  long: 21\n  week: 5")
    log = quick.dvc("repro")
    assert {"features", "dataset@short", "train@short-ridge"} <= skipped(log)
    for horizon in ("long", "week"):
        assert {f"{name}@{horizon}" for name in ("dataset", "evaluate")} <= ran(log)
        assert f"train@{horizon}-ridge" in ran(log)
        card = json.loads((quick.folder / MODELS / horizon / "card.json").read_text("utf-8"))
        assert card["sessions"] == {"long": 21, "week": 5}[horizon]
        assert (quick.folder / MODELS / horizon / "model.onnx").exists()


def test_an_earlier_session_is_a_param_too(quick: Project) -> None:
    quick.set("as_of: '2012-12-31'", "as_of: '2012-12-28'")
    assert {"ingest", "clean", "features"} <= ran(quick.dvc("repro", "dataset@short"))
    newest = tables.read(quick.folder / DATASETS / "short" / "newest.parquet")
    assert newest["date"].unique().to_list() == [date(2012, 12, 28)]


def test_wrong_params_stop_before_anything_is_touched(quick: Project) -> None:
    before = digests(quick.folder / "data")
    quick.set("  sma:\n  - 7\n", "  sma:\n  - 0\n")
    log = quick.dvc("repro", check=False)
    assert "error: features.sma: windows must be positive integers, got [0, 21]" in log
    assert digests(quick.folder / "data") == before


def results(project: Project) -> dict[str, str]:
    """The digests of all that stages make, without what a killed one was writing."""
    return {
        f"{folder}/{name}": md5
        for folder in ("data", "models", "metrics")
        for name, md5 in digests(project.folder / folder).items()
        if ".partial" not in name
    }


KILL_WITHIN_WRITE = """
import os, signal, sys

if sys.argv[:1] == ["-m"] and "{module}" in sys.orig_argv:
    from stages.common import tables

    class Killer(tables.Writer):
        def _write(self, frame):
            super()._write(frame)
            os.kill(os.getpid(), signal.SIGKILL)

    tables.Writer = Killer
"""


@pytest.mark.parametrize(
    ("stage", "old", "new"),
    [
        ("clean", "  fill_limit: 0", "  fill_limit: 1"),
        ("features", "  - 21\n  ema:", "  - 21\n  - 50\n  ema:"),
        ("dataset@short", "test_share: 0.2", "test_share: 0.3"),
        ("train@short-ridge", "    alpha: 10.0", "    alpha: 2.0"),
    ],
)
def test_a_killed_stage_leaves_nothing_half_made(
    quick: Project, tmp_path: Path, stage: str, old: str, new: str
) -> None:
    quick.set(old, new)
    before = results(quick)
    module = f"stages.{stage.partition('@')[0]}"
    (tmp_path / "sitecustomize.py").write_text(
        KILL_WITHIN_WRITE.replace("{module}", module), encoding="utf-8"
    )

    log = quick.dvc("repro", stage, check=False, PYTHONPATH=f"{tmp_path}:{quick.folder}")

    # The first stage checks the file that has changed.
    assert ran(log) - {"params"} == {stage}
    assert f"failed to reproduce '{stage}'" in log
    assert list(quick.folder.rglob("*.partial")), "it was not killed in the middle of a write"
    # A file is either as it was or away, and all that it was comes back.
    assert results(quick).items() <= before.items()
    quick.dvc("checkout")
    quick.git("checkout", "--quiet", "metrics")
    assert results(quick) == before

    assert stage in ran(quick.dvc("repro", stage))
    assert "up to date" in quick.dvc("status", stage)
    assert not list(quick.folder.rglob("*.partial"))


def test_paths_of_the_stages_are_those_of_the_pipeline() -> None:
    text = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
    named = set(re.findall(r"^ *- ((?:data|models|metrics)/[^:\s]*)", text, re.MULTILINE))
    for name in ("RAW", "CLEAN", "FEATURES", "DATASETS", "CANDIDATES", "LATEST", "SESSIONS"):
        path = str(getattr(paths, name))
        assert any(each == path or each.startswith(f"{path}/") for each in named), name
    assert str(paths.ACTIONS) in named
