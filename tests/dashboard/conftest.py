"""A browser, and dashboards beside a served project, which no test changes."""

import functools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright
from streamlit.components.v2 import manifest_scanner

from tests.browsers import BROWSER, REMEDY
from tests.dashboard.dashboards import LONG, Dashboard
from tests.projects import Project, copied
from tests.serve.servers import Server


@pytest.fixture(scope="session", autouse=True)
def _scanned_once() -> Iterator[None]:
    """Every AppTest looks through all that is installed, for half a second; once will do."""
    with pytest.MonkeyPatch.context() as patch:
        scan = functools.cache(manifest_scanner.scan_component_manifests)
        patch.setattr(manifest_scanner, "scan_component_manifests", scan)
        yield


@pytest.fixture(autouse=True)
def _main_module() -> Iterator[None]:
    """Streamlit puts its script in the place of `__main__`, from which processes are forked."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium; without one the test is skipped, and says how to get one.

    It ends with its module: while it runs, so does a loop of asyncio, beside which none can start.
    """
    if BROWSER is None:
        pytest.skip(REMEDY)
    with sync_playwright() as playwright:
        # Without a sandbox of its own it also runs as root, as in a container.
        launched = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def visitor(browser: Browser) -> Iterator[BrowserContext]:
    """A person who has never been here, in Kolkata."""
    context = browser.new_context(timezone_id="Asia/Kolkata")
    context.set_default_timeout(LONG)
    yield context
    context.close()


@pytest.fixture(scope="module")
def project(reproduced: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The reproduced project, as a person has it who looks at it."""
    return copied(reproduced, tmp_path_factory.mktemp("looked-at") / "project")


@pytest.fixture(scope="module")
def server(project: Project) -> Iterator[Server]:
    """What serves it."""
    with Server(project.folder, project.folder / "var") as running:
        yield running


@pytest.fixture(scope="module")
def dashboard(project: Project, server: Server) -> Iterator[Dashboard]:
    """What shows both."""
    log = project.folder / "var" / "dashboard.log"
    with Dashboard(project.folder, log, DASHBOARD_SERVER=server.url) as running:
        yield running
