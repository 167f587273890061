"""The download of a log: bounded, and the page says so."""

from collections.abc import Callable
from pathlib import Path

import pytest
import streamlit as st

from dashboard.views import log_download
from tests.dashboard.views import panels


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], bytes]]:
    """What the buttons of the page give to the browser once they are pressed."""
    contents: list[Callable[[], bytes]] = []
    monkeypatch.setattr(st, "download_button", lambda *words, **_: contents.append(words[1]))
    return contents


def text(path: Path) -> str:
    page = panels.panel(
        lambda _: log_download.log_download(path, "run.log"), panels.context(path.parent)
    )
    return panels.texts(page)


def test_a_long_log_is_cut_and_the_page_says_where_all_of_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, downloads: list[Callable[[], bytes]]
) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"".join(b"line %06d\n" % number for number in range(200_000)))
    monkeypatch.setattr(log_download, "MOST", 1_000_005)
    assert f"newest 1 of 2.4 MB, from the beginning of a line. All of it is in {path}" in text(path)
    (content,) = downloads
    assert content()[:12] == b"line 116667\n"
    assert content()[-12:] == b"line 199999\n"
    assert "Older lines" not in text(path)


def test_a_log_that_fits_is_whole_and_rotated_files_are_named(
    tmp_path: Path, downloads: list[Callable[[], bytes]]
) -> None:
    path = tmp_path / "up.log"
    path.write_bytes(b"newest\n")
    assert text(path) == ""
    (tmp_path / "up.log.1").write_bytes(b"oldest\n")
    assert f"Older lines are in {path}.1" in text(path)
    assert [content() for content in downloads] == [b"newest\n"] * 2
