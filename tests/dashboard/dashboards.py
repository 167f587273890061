"""Dashboards as users start them, in processes of their own, and pages in a real browser."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from playwright.sync_api import Page, expect

from tests.projects import ROOT

LONG = 60_000
"""Milliseconds that a page may take on a loaded machine; no claim about its speed."""


class Dashboard:
    """`python -m dashboard` on a free port of loopback, ready when the context is entered.

    Args:
        project: the folder in which it is started.
        settings: environment variables.
    """

    def __init__(self, project: Path, log: Path, **settings: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._project = project
        self._log = log
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DASHBOARD_PORT": str(self.port),
            **settings,
        }

    def __enter__(self) -> Self:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dashboard"],
                cwd=self._project,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self.process.poll() is None:
            with suppress(OSError):
                urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=2).close()
                return self
            time.sleep(0.1)
        raise AssertionError(f"the dashboard does not answer:\n{self.output()}")

    def output(self) -> str:
        """What it printed."""
        return self._log.read_text(encoding="utf-8")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def settled(page: Page) -> Page:
    """The page once its script has run to the end, without an exception."""
    done = '[data-testid="stApp"][data-test-script-state="notRunning"]'
    page.wait_for_selector(done, timeout=LONG)
    expect(page.get_by_test_id("stException")).to_have_count(0)
    return page


def opened(page: Page, url: str) -> Page:
    """The page of an address, once its script has run to the end."""
    page.goto(url, timeout=LONG)
    return settled(page)
