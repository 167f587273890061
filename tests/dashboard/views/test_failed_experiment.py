"""An experiment of DVC's queue that failed, as Analytics tells it."""

import sys
from pathlib import Path

import pytest
import streamlit as st

from dashboard.views import analytics_view
from tests.dashboard.views import panels
from tests.projects import ROOT
from tests.versions.runs.tiny_pipeline import order, tiny
from versions.results import experiment_refs


@pytest.mark.slow
def test_the_page_counts_what_waits_and_what_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tiny(tmp_path / "project")
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    experiment = (sys.executable, "-m", "dvc", "exp", "run")

    def page_text() -> str:
        st.cache_data.clear()
        who = panels.context(project.folder)
        return panels.texts(panels.panel(analytics_view.show, who, view="Experiments"))

    order(project, "first", error="bars of AAPL: 3 rows are wrong")
    project.run(*experiment, "--queue", "--name=wrong")
    assert "1 in the queue of DVC, 0 failed" in page_text()
    output = project.run(*experiment, "--run-all", check=False)
    assert "bars of AAPL: 3 rows are wrong" in output
    assert experiment_refs.waiting() == (0, 1)
    assert "0 in the queue of DVC, 1 failed" in page_text()
    assert "no experiments yet" in page_text()
