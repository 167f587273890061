"""Photograph two pages of the dashboard for the README: `make screenshots`."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"

PAGES = {"dashboard-home": "", "dashboard-predictions": "predictions?symbol=IBM&horizon=short"}
"""What is photographed, by the name of its picture."""

SIZE = (1280, 900)


def main() -> None:
    """Show what is checked out, and write the pictures."""
    from benchmarks.browser import chromium, run_dashboard, visit

    with chromium() as browser, run_dashboard(ROOT) as running:
        page = browser.new_page(
            viewport={"width": SIZE[0], "height": SIZE[1]}, timezone_id="America/New_York"
        )
        for name, path in PAGES.items():
            visit(page, f"{running.url}/{path}")
            # The fonts, and the end of the last animation.
            page.wait_for_timeout(1_500)
            page.screenshot(path=PICTURES / f"{name}.png")
            print(f"wrote docs/pictures/{name}.png")


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    main()
