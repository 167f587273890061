"""Analytics in a real browser: a thousand experiments, and links that reproduce a comparison."""

import re
import shutil
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.dashboard.dashboards import LONG, Dashboard, opened, settled
from tests.dashboard.evaluated import add_experiments, evaluated
from tests.projects import ROOT

pytestmark = pytest.mark.slow

ROW = 35
"""Pixels of a row of Streamlit's tables, headings included."""

TRIES = 5


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """The sample's results and a thousand experiments; no server, which this page does not ask."""
    repository = evaluated(tmp_path_factory.mktemp("thousand") / "project")
    add_experiments(repository, 1000)
    shutil.copytree(ROOT / ".streamlit", repository.folder / ".streamlit")
    log = repository.folder / "dashboard.log"
    with Dashboard(repository.folder, log) as running:
        yield running


def expect_text(page: Page, text: str) -> None:
    expect(page.get_by_text(text).first).to_be_visible(timeout=LONG)


def tick(page: Page, row: int) -> None:
    """Tick a row of the table, which is drawn on a canvas."""
    table = page.locator(".dvn-scroller")
    table.click(position={"x": 18, "y": ROW * (row + 1.5)})


def test_two_ticks_compare_and_the_link_shows_the_same(
    dashboard: Dashboard, visitor: BrowserContext
) -> None:
    page = opened(visitor.new_page(), f"{dashboard.url}/analytics?view=Experiments&horizon=long")
    expect_text(page, "1,000 of 1,000 experiments")
    tick(page, 0)
    # One is compared with the commit that it began from.
    expect_text(page, "and trial-0999")
    tick(page, 1)
    page.get_by_role("button", name=re.compile("trial-0999 and trial-0998")).click()
    expect_text(page, "On the folds a is ahead (R2 of a +0.00100, b +0.00100).")
    page.wait_for_url(re.compile(r"a=trial-0999.*b=trial-0998|b=trial-0998.*a=trial-0999"))
    other = opened(visitor.new_page(), page.url)
    expect_text(other, "On the folds a is ahead (R2 of a +0.00100, b +0.00100).")
    for name in ("a", "b"):
        boxes = [
            each.get_by_role("combobox", name=f"Revision {name}").input_value()
            for each in (page, other)
        ]
        assert boxes[0] == boxes[1]
    expect(other.get_by_test_id("stPlotlyChart")).to_have_count(3, timeout=LONG)
    settled(other)


def test_a_thousand_experiments_are_filtered_while_one_types(
    dashboard: Dashboard, visitor: BrowserContext
) -> None:
    page = opened(visitor.new_page(), f"{dashboard.url}/analytics?view=Experiments")
    expect_text(page, "1,000 of 1,000 experiments")
    box = page.get_by_label("Filter")
    waits = []
    for number in range(TRIES):
        started = time.monotonic()
        box.fill(f"trial-09{number}")
        expect_text(page, "10 of 1,000 experiments")
        waits.append(time.monotonic() - started)
        box.fill("")
        expect_text(page, "1,000 of 1,000 experiments")
    assert min(waits) < 2, waits
    settled(page)


@pytest.mark.parametrize("view", ["Candidates", "Compare"])
def test_nothing_is_wider_than_a_phone(
    dashboard: Dashboard, visitor: BrowserContext, view: str
) -> None:
    page = visitor.new_page()
    page.set_viewport_size({"width": 390, "height": 844})
    opened(page, f"{dashboard.url}/analytics?view={view}")
    main = page.get_by_test_id("stMain")
    assert main.evaluate("element => element.scrollWidth - element.clientWidth") == 0
