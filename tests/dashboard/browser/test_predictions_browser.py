"""The page Predictions in a real browser, beside a real server."""

import json
import re
import urllib.request
from contextlib import suppress
from typing import Any

import polars as pl
import pytest
from playwright.sync_api import BrowserContext, Error, Page, Position, expect

from tests.dashboard.dashboards import LONG, Dashboard, opened, settled
from tests.serve.servers import Server

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

TRIES = 10
"""To open a cell."""


def reply(server: Server, path: str, body: dict[str, Any] | None = None) -> Any:
    request = urllib.request.Request(
        f"{server.url}{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def typed(page: Page, row: int, column: int, value: str) -> None:
    """Type into a cell of the editor, which is drawn; its accessible table is behind it."""
    editor = page.get_by_test_id("stDataFrame").last
    expect(editor.get_by_test_id(f"glide-cell-{column}-{row}")).to_have_count(1, timeout=LONG)
    drawn = editor.locator("canvas").first
    box = drawn.bounding_box()
    assert box is not None
    rows, columns = 6, 6
    place = Position(
        x=box["width"] * (column + 0.5) / columns, y=box["height"] * (row + 1.5) / rows
    )
    cell = page.locator("#portal input")
    for _ in range(TRIES):
        # Charts above may still push it down between two clicks.
        drawn.dblclick(position=place, force=True)
        with suppress(Error):
            cell.wait_for(timeout=LONG / TRIES)
            break
    cell.fill(value)
    cell.press("Enter")


@pytest.mark.slow
def test_the_page_shows_what_the_server_logs_as_it_logs_it(
    visitor: BrowserContext, server: Server, dashboard: Dashboard
) -> None:
    page = opened(visitor.new_page(), f"{dashboard.url}/predictions?symbol=IBM&horizon=long")

    # What is on the page is what was logged.
    returns = []
    for card, horizon in enumerate(("short", "long")):
        box = page.locator(f".st-key-forecast-{card}")
        (identifier,) = UUID.findall(box.inner_text())
        logged = reply(server, f"/predictions/{identifier}")
        assert (logged["symbol"], logged["horizon"]) == ("IBM", horizon)
        returns.append(logged["predicted_return"])
        expect(box).to_contain_text(f"{100 * returns[-1]:+.2f} %")
        expect(box).to_contain_text(f"{logged['interval']['upper_close']:,.2f}")

    with page.expect_download() as download:
        page.get_by_role("button", name="Download the newest forecasts").click()
    rows = pl.read_csv(download.value.path())
    assert rows["horizon"].to_list() == ["short", "long"]
    assert rows["predicted_return"].to_list() == returns

    # A new forecast appears by itself.
    forecast = reply(server, "/predict/long", {"symbol": "IBM"})
    expect(page.get_by_text(f"The newest is {forecast['id']}")).to_be_visible(timeout=LONG)

    # An edit of the last close moves the forecast, and is logged as one from own bars.
    page.get_by_text("What if the last bars were others?").click()
    typed(page, row=4, column=4, value="230")
    settled(page)
    row = page.get_by_test_id("stTable").get_by_role("row").filter(has_text="last close")
    expect(row).to_contain_text("230.00", timeout=LONG)
    newest = reply(server, "/predictions?symbol=IBM&horizon=long&limit=1")["predictions"][0]
    assert (newest["source"], newest["last_close"]) == ("bars", 230)
    moved = page.get_by_test_id("stTable").get_by_role("row").filter(has_text="interval, upper")
    expect(moved).to_contain_text(f"{100 * newest['interval']['upper_return']:+.2f} %")
