"""Server, dashboard and a headless browser, on what is checked out in a folder."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.panel import ROOT
from benchmarks.processes import running

LONG = 60_000
"""Milliseconds that a page may take."""

_CONFIG = Path(".streamlit") / "config.toml"

_DONE = '[data-testid="stApp"][data-test-script-state="notRunning"]'
_DRAWN = """() => !document.querySelector('[data-testid="stSkeleton"]')
    && [...document.querySelectorAll('[data-testid="stPlotlyChart"]')].every(chart => {
        const drawn = chart.querySelector(".main-svg");
        return drawn && getComputedStyle(drawn).visibility === "visible";
    })"""


@dataclass(frozen=True)
class Dashboard:
    """A dashboard that runs, and its server.

    Attributes:
        url: of the dashboard.
        port: of the server.
        pid: of the dashboard.
    """

    url: str
    port: int
    pid: int


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser that ends with the context.

    Raises:
        SystemExit: no browser is installed.
    """
    program = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if program is None:
        raise SystemExit("error: no browser; install one: apt install chromium")
    with sync_playwright() as playwright:
        # Without a sandbox of its own it also runs as root, as in a container.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def run_dashboard(project: Path) -> Iterator[Dashboard]:
    """Start the server and the dashboard of a project; both end with the context.

    Raises:
        SystemExit: one of them does not start.
    """
    with (
        tempfile.TemporaryDirectory() as var,
        running(*("serve", "SERVE_PORT", "/health/live"), folder=project, SERVE_VAR=var) as (
            _,
            port,
        ),
        running(
            *("dashboard", "DASHBOARD_PORT", "/_stcore/health"),
            folder=project,
            DASHBOARD_SERVER=f"http://127.0.0.1:{port}",
            SERVE_VAR=var,
        ) as (process, own_port),
    ):
        yield Dashboard(f"http://127.0.0.1:{own_port}", port, process.pid)


@contextmanager
def empty_app() -> Iterator[str]:
    """The address of an app of Streamlit that writes one word, set up as the dashboard is."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / _CONFIG).parent.mkdir()
        shutil.copy(ROOT / _CONFIG, place / _CONFIG)
        (place / "app.py").write_text('import streamlit as st\n\nst.write("x")\n')
        with running(
            *("streamlit", "STREAMLIT_SERVER_PORT", "/_stcore/health", "run", "app.py"),
            folder=place,
            SERVE_VAR=folder,
        ) as (_, port):
            yield f"http://127.0.0.1:{port}"


def visit(page: Page, url: str) -> None:
    """Open a page, and wait until its script has ended and its charts can be seen."""
    page.goto(url, timeout=LONG)
    page.wait_for_selector(_DONE, timeout=LONG)
    page.wait_for_function(_DRAWN, timeout=LONG)
