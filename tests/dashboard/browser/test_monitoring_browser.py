"""The page Monitoring in a real browser, beside a real server and what a real check has stored."""

import httpx
import pytest
from playwright.sync_api import BrowserContext, Dialog, expect

from tests.dashboard.dashboards import LONG, Dashboard, opened
from tests.projects import Project
from tests.serve.servers import Server

pytestmark = pytest.mark.slow

HOSTILE = '<img src=x onerror="alert(1)"><script>alert(2)</script>'


@pytest.fixture(scope="module")
def watched(project: Project, server: Server, dashboard: Dashboard) -> Dashboard:
    """After a round of checks, some requests, and a log with lines of somebody else."""
    for _ in range(3):
        answer = httpx.post(f"{server.url}/predict/short", json={"symbol": "AAPL"}, timeout=60)
        assert answer.is_success
    project.run("python", "-m", "monitor", "check")
    log = project.folder / "var/log/up.log"
    log.parent.mkdir()
    log.write_text(
        f"2026-01-02T00:00:00.000Z monitor | error: {HOSTILE}\n"
        '2026-01-02T00:00:01.000Z server  | {"level":"info","event":"went well"}\n'
    )
    return dashboard


def test_what_is_wrong_is_said_with_its_remedy_and_runbook(
    watched: Dashboard, visitor: BrowserContext
) -> None:
    page = opened(visitor.new_page(), f"{watched.url}/monitoring")
    # The sample ends in 2012.
    expect(page.get_by_text("features_age").first).to_be_visible()
    page.get_by_role("button", name="Runbook").first.click()
    expect(page.get_by_text("What it means.").first).to_be_visible()


@pytest.mark.parametrize("width", [390, 1600])
@pytest.mark.parametrize(
    ("tab", "text"),
    [
        ("Health", "History of the checks"),
        ("Drift", "of horizon"),
        ("Performance", "the first outcome is yet to come"),
        ("Alerts", "When each alert went on"),
        ("Decisions", "Nothing was decided yet"),
        ("Server", "Requests since its start"),
        ("Log", "Lines that match: all 2"),
    ],
)
def test_a_link_opens_its_tab_and_nothing_is_wider_than_the_window(
    watched: Dashboard, visitor: BrowserContext, tab: str, text: str, width: int
) -> None:
    page = visitor.new_page()
    page.set_viewport_size({"width": width, "height": 1000})
    opened(page, f"{watched.url}/monitoring?tab={tab}")
    expect(page.get_by_text(text).first).to_be_visible(timeout=LONG)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_lines_of_a_log_are_text_and_are_found_by_a_link(
    watched: Dashboard, visitor: BrowserContext
) -> None:
    page, dialogs = visitor.new_page(), list[Dialog]()

    def keep(dialog: Dialog) -> None:
        dialogs.append(dialog)

    page.on("dialog", keep)
    opened(page, f"{watched.url}/monitoring?tab=Log&log=log/up.log&level=errors&text=onerror")
    expect(page.get_by_text("Lines that match: all 1").first).to_be_visible()
    assert not dialogs
    assert page.locator("img[src=x]").count() == 0


def test_rates_appear_without_a_reload(watched: Dashboard, visitor: BrowserContext) -> None:
    page = opened(visitor.new_page(), f"{watched.url}/monitoring?tab=Server")
    expect(page.get_by_text("Latency").first).to_be_visible(timeout=LONG)
