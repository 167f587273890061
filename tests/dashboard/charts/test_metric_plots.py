"""The page, `dvc plots show` and the VS Code extension draw the same plots."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from dashboard.charts.metric_plots import PLOTS, MetricPlot
from dashboard.results.horizon_metrics import TABLES
from tests.projects import ROOT, Project

PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))


def declared() -> dict[str, MetricPlot]:
    """The plots of `dvc.yaml`, by the name of their CSV."""
    plots = {}
    for stage in PIPELINE["stages"].values():
        for plot in stage.get("plots", ()):
            ((path, settings),) = plot.items()
            title = settings["title"].removesuffix(": ${item.horizon}")
            assert title != settings["title"]
            plots[Path(path).stem] = MetricPlot(settings["x"], settings["y"], title)
    return plots


def test_each_chart_of_the_page_is_a_plot_of_the_pipeline() -> None:
    assert set(PLOTS) == set(TABLES)
    plots = declared()
    assert {name: plots[name][:3] for name in PLOTS} == {n: plot[:3] for n, plot in PLOTS.items()}


def test_each_axis_is_a_column_that_the_pipeline_writes() -> None:
    for name, plot in PLOTS.items():
        for horizon in ("short", "long"):
            text = (ROOT / "metrics" / horizon / f"{name}.csv").read_text(encoding="utf-8")
            assert plot.columns <= set(text.splitlines()[0].split(","))


@pytest.mark.slow
def test_dvc_answers_what_the_extension_asks(tmp_path: Path) -> None:
    """The extension runs `dvc plots show --json` and `dvc exp show --json`."""
    project = Project(tmp_path)
    for name in ("dvc.yaml", "dvc.lock", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "metrics", tmp_path / "metrics")
    project.git("init", "--quiet", "--initial-branch=main")
    project.git("config", "user.email", "tests@example.org")
    project.git("config", "user.name", "Tests")
    project.dvc("init", "--quiet")
    shutil.copytree(ROOT / ".dvc" / "plots", tmp_path / ".dvc" / "plots", dirs_exist_ok=True)
    project.git("add", "--all")
    project.git("commit", "--quiet", "--no-verify", "--message=First")
    answer = json.loads(project.dvc("plots", "show", "--json"))
    assert not answer.get("errors")
    drawn = set(answer["data"])
    for horizon in ("short", "long"):
        for name in set(PLOTS) - {"ic"}:  # without rows on four symbols
            assert any(f"metrics/{horizon}/{name}.csv" in key for key in drawn), (horizon, name)
    workspace, commit = json.loads(project.dvc("exp", "show", "--json"))
    assert workspace["rev"] == "workspace"
    metrics = commit["data"]["metrics"]["metrics/short.json"]["data"]
    assert "fold_oos_r2" in metrics
