"""Prediction logs in both databases."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Engine

from predictions import migrate
from predictions.engine import connect

if TYPE_CHECKING:
    from tests.predictions.postgres import Postgres


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'var' / 'predictions.db'}"
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """A log with its tables."""
    connected = connect(url)
    migrate.upgrade(connected)
    yield connected
    connected.dispose()
