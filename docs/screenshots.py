"""Photograph two pages of the dashboard for the README: `make screenshots`."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"

PAGES = {"dashboard-home": "", "dashboard-predictions": "predictions?symbol=IBM&horizon=short"}
"""What is photographed, by the name of its picture."""

SIZE = (1280, 900)
DONE = '[data-testid="stApp"][data-test-script-state="notRunning"]'
DRAWN = "() => !document.querySelector('[data-testid=\"stSkeleton\"]')"


def main() -> None:
    """Start server and dashboard on what is checked out, and write the pictures.

    Raises:
        SystemExit: there is no browser, or one of them does not start.
    """
    from playwright.sync_api import sync_playwright

    from benchmarks.processes import running

    browser = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if browser is None:
        raise SystemExit("error: no browser; install one: apt install chromium")
    with (
        tempfile.TemporaryDirectory() as folder,
        running("serve", "SERVE_PORT", "/health/live", SERVE_VAR=folder) as (_, port),
        running(
            *("dashboard", "DASHBOARD_PORT", "/_stcore/health"),
            DASHBOARD_SERVER=f"http://127.0.0.1:{port}",
            SERVE_VAR=folder,
        ) as (_, shown),
        sync_playwright() as playwright,
    ):
        launched = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = launched.new_page(
            viewport={"width": SIZE[0], "height": SIZE[1]}, timezone_id="America/New_York"
        )
        for name, path in PAGES.items():
            page.goto(f"http://127.0.0.1:{shown}/{path}")
            page.wait_for_selector(DONE, timeout=60_000)
            page.wait_for_function(DRAWN, timeout=60_000)
            # The fonts and the last animation.
            page.wait_for_timeout(1_500)
            page.screenshot(path=PICTURES / f"{name}.png")
            print(f"wrote docs/pictures/{name}.png")
        launched.close()


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    main()
