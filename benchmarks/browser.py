"""Server, dashboard and a headless browser, on what is checked out in the current folder."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.processes import running

LONG = 60_000
"""Milliseconds that a page may take."""

_DONE = '[data-testid="stApp"][data-test-script-state="notRunning"]'
_DRAWN = "() => !document.querySelector('[data-testid=\"stSkeleton\"]')"


@dataclass(frozen=True)
class Shown:
    """What runs.

    Attributes:
        browser: Chromium.
        url: of the dashboard.
        port: of the server.
        pid: of the dashboard.
    """

    browser: Browser
    url: str
    port: int
    pid: int


@contextmanager
def shown() -> Iterator[Shown]:
    """Start all three; they end with the context.

    Raises:
        SystemExit: no browser is installed, or the server or the dashboard does not start.
    """
    program = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if program is None:
        raise SystemExit("error: no browser; install one: apt install chromium")
    with (
        tempfile.TemporaryDirectory() as folder,
        running("serve", "SERVE_PORT", "/health/live", SERVE_VAR=folder) as (_, port),
        running(
            *("dashboard", "DASHBOARD_PORT", "/_stcore/health"),
            DASHBOARD_SERVER=f"http://127.0.0.1:{port}",
            SERVE_VAR=folder,
        ) as (process, own_port),
        sync_playwright() as playwright,
    ):
        # Without a sandbox of its own it also runs as root, as in a container.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield Shown(browser, f"http://127.0.0.1:{own_port}", port, process.pid)
        browser.close()


def visit(page: Page, url: str) -> None:
    """Open a page, and wait until its script has ended and its charts are there."""
    page.goto(url, timeout=LONG)
    page.wait_for_selector(_DONE, timeout=LONG)
    page.wait_for_function(_DRAWN, timeout=LONG)
