"""What viewers leave behind in the process that they look at."""

import os

import psutil  # type: ignore[import-untyped]  # its stubs are one more package
import pytest

from dashboard.page_list import PAGES
from tests.dashboard.dashboards import Dashboard
from tests.dashboard.sessions import look_around

pytestmark = pytest.mark.slow

SESSIONS = 20 if os.environ.get("CI_FULL") == "1" else 6


def test_sessions_leave_no_memory_behind(dashboard: Dashboard) -> None:
    process = psutil.Process(dashboard.process.pid)
    # What is imported and cached for all viewers is there after the first ones.
    for _ in range(3):
        look_around(dashboard.url, PAGES.values())
    before = process.memory_info().rss
    for _ in range(SESSIONS):
        look_around(dashboard.url, PAGES.values())
    assert process.memory_info().rss < 1.2 * before
