"""Prediction logs in both databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from predictions import migrate
from predictions.engine import connect
from tests.predictions.postgres import Postgres


@pytest.fixture(scope="session")
def _postgres() -> Iterator[Postgres]:
    found = Postgres()
    yield found
    found.remove()


@pytest.fixture
def postgres(_postgres: Postgres) -> Postgres:
    """A PostgreSQL server that a test may kill; it runs when the next begins."""
    _postgres.start()
    return _postgres


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
    found = connect(url)
    migrate.upgrade(found)
    yield found
    found.dispose()
