"""The page of the address, before and after its viewer has signed in."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from dashboard import navigation
from dashboard.page_list import PAGES
from serve.edge.keyring import make, write
from tests.dashboard.views import panels
from tests.projects import ROOT


@pytest.fixture
def secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A key that opens the pages of a project that was never run."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    own, key = make("desk", ["predict"])
    write(tmp_path / "keys", [key])
    monkeypatch.setenv("SERVE_KEYS_FILE", str(tmp_path / "keys"))
    st.cache_resource.clear()
    yield own
    st.cache_resource.clear()


def opened(path: str, **query: str) -> AppTest:
    """What a browser shows that opens this address."""
    page = AppTest.from_file(navigation.__file__, default_timeout=60)
    # `switch_page` knows the pages of files alone.
    page._page_hash = calc_hash(path)
    for name, value in query.items():
        page.query_params[name] = value
    return page.run()


def test_who_signs_in_is_on_the_page_and_in_the_state_of_the_address(secret: str) -> None:
    query = {"horizon": "long", "view": "Trading"}
    page = opened("analytics", **query)
    assert page.title[0].value == "Sign in"
    assert not page.sidebar.button
    # Streamlit shows whatever stands alone in its script, such as a string.
    assert not page.markdown
    page.text_input[0].set_value("desk.wrong")
    page.button[0].click().run()
    assert "not known" in panels.texts(page)
    page.text_input[0].set_value(secret)
    page.button[0].click().run()
    assert page.title[0].value == "Analytics"
    assert {name: page.session_state[name] for name in query} == query
    assert page.query_params == query
    page.sidebar.button[0].click().run()
    assert page.title[0].value == "Sign in"


@pytest.mark.usefixtures("secret")
def test_keys_that_cannot_be_read_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("not a key\n")
    page = opened("monitoring")
    assert "python \\-m serve keys add" in page.error[0].value
    assert not page.title


def test_every_page_of_the_list_has_its_view() -> None:
    assert list(navigation.VIEWS) == list(PAGES)
