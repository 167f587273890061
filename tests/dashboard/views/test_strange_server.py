"""Pages that ask the server, where another program answers or the server is broken."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import streamlit as st

from dashboard.views import home_view, monitoring_view, predictions_view
from tests.dashboard.elsewhere import elsewhere
from tests.dashboard.views import panels
from tests.projects import ROOT

BROKEN = '{"type": "about:blank", "detail": "the server has failed; its log says why"}'


@pytest.mark.parametrize(
    ("status", "text", "words"),
    [
        (200, "{}", "DASHBOARD_SERVER"),
        (200, "<html>", "DASHBOARD_SERVER"),
        (500, BROKEN, "its log says why"),
        (503, "", "the server answered 503"),
    ],
)
def test_every_page_says_so_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, text: str, words: str
) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    st.cache_data.clear()
    with elsewhere(status, text) as server:
        who = replace(panels.context(tmp_path), server=server)
        for view in (home_view, predictions_view, monitoring_view):
            page = panels.panel(view.show, who, tab="Server")
            # Signs of Markdown are escaped in some places.
            assert words in panels.texts(page).replace("\\", "")
