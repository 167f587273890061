"""What `dvc repro` does, read from DVC's own answers on the real sample."""

import hashlib
import json
import os
import re
from datetime import date
from pathlib import Path

import pytest

from stages.common import paths, tables
from stages.common.paths import DATASETS, FEATURES, MODELS
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


def test_nothing_to_do_runs_nothing(brief: Project) -> None:
    log = brief.dvc("repro")
    assert ran(log) == set()
    assert {"ingest", "train@short-ridge", "evaluate@short"} <= skipped(log)


def test_another_average_reruns_features_and_what_follows(brief: Project) -> None:
    brief.set("  - 21\n  ema:", "  - 21\n  - 50\n  ema:")
    log = brief.dvc("repro", "dataset@short")
    assert skipped(log) == {"ingest", "clean"}
    assert ran(log) == {"params", "features", "validate", "dataset@short"}
    rows = tables.read(brief.folder / DATASETS / "short" / "train.parquet")
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


def test_a_new_horizon_and_another_one_leave_the_first_alone(brief: Project) -> None:
    brief.set("  short: 1", "  short: 1\n  week: 5")
    log = brief.dvc("repro", "train@short-ridge", "evaluate@week")
    assert {"features", "dataset@short", "train@short-ridge"} <= skipped(log)
    assert {"dataset@week", "train@week-ridge", "evaluate@week"} <= ran(log)
    card = json.loads((brief.folder / MODELS / "week" / "card.json").read_text("utf-8"))
    assert card["sessions"] == 5
    assert (brief.folder / MODELS / "week" / "model.onnx").exists()
    brief.set("  week: 5", "  week: 4")
    changed = set(json.loads(brief.dvc("status", "--json")))
    assert {"dataset@week", "evaluate@week"} <= changed
    assert not changed & {"features", "dataset@short", "train@short-ridge"}


def test_an_earlier_session_is_a_param_too(brief: Project) -> None:
    brief.set("as_of: '2012-12-31'", "as_of: '2012-12-28'")
    assert {"ingest", "clean", "features"} <= ran(brief.dvc("repro", "features"))
    rows = tables.read(brief.folder / FEATURES / "daily.parquet")
    assert rows["date"].max() == date(2012, 12, 28)


def results(project: Project) -> dict[str, str]:
    """The digests of all that stages make, without what a killed one was writing."""
    return {
        f"{folder}/{name}": md5
        for folder in ("data", "models", "metrics")
        for name, md5 in digests(project.folder / folder).items()
        if ".partial" not in name
    }


MORE_KILLS = (
    ("clean", "  fill_limit: 0", "  fill_limit: 1"),
    ("features", "  - 21\n  ema:", "  - 21\n  - 50\n  ema:"),
    ("dataset@short", "test_share: 0.2", "test_share: 0.3"),
)

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
        ("train@short-ridge", "    alpha: 10.0", "    alpha: 2.0"),
        *(MORE_KILLS if os.environ.get("CI_FULL") == "1" else ()),
    ],
)
def test_a_killed_stage_leaves_nothing_half_made(
    brief: Project, tmp_path: Path, stage: str, old: str, new: str
) -> None:
    brief.set(old, new)
    before = results(brief)
    module = f"stages.{stage.partition('@')[0]}"
    (tmp_path / "sitecustomize.py").write_text(
        KILL_WITHIN_WRITE.replace("{module}", module), encoding="utf-8"
    )

    log = brief.dvc("repro", stage, check=False, PYTHONPATH=f"{tmp_path}:{brief.folder}")

    # The first stage checks the file that has changed.
    assert ran(log) - {"params"} == {stage}
    assert f"failed to reproduce '{stage}'" in log
    assert list(brief.folder.rglob("*.partial")), "it was not killed in the middle of a write"
    # A file is either unchanged or missing, and the missing ones come back.
    assert results(brief).items() <= before.items()
    brief.dvc("checkout")
    brief.git("checkout", "--quiet", "metrics")
    assert results(brief) == before

    assert stage in ran(brief.dvc("repro", stage))
    assert "up to date" in brief.dvc("status", stage)
    assert not list(brief.folder.rglob("*.partial"))


def test_paths_of_the_stages_are_those_of_the_pipeline() -> None:
    text = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
    named = set(re.findall(r"^ *- ((?:data|models|metrics)/[^:\s]*)", text, re.MULTILINE))
    for name in ("RAW", "CLEAN", "FEATURES", "DATASETS", "CANDIDATES", "LATEST", "SESSIONS"):
        path = str(getattr(paths, name))
        assert any(each == path or each.startswith(f"{path}/") for each in named), name
    assert str(paths.ACTIONS) in named
