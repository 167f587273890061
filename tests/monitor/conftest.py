"""A log of live forecasts, and the monitor's settings for it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

from monitor.settings import Settings
from tests.monitor import live


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a monitor in the test's own folder, on the evening of 1 April 2020."""
    return live.settings(tmp_path, datetime(2020, 4, 1, 22, tzinfo=UTC))


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    """An empty SQLite log."""
    made = live.log(settings)
    yield made
    made.dispose()
