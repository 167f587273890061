"""A served project that tests ask, and none changes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from serve.app import create
from serve.bundle import Bundle, load
from serve.settings import Settings


@pytest.fixture(scope="session")
def bundle(reproduced: Path) -> Bundle:
    """What the reproduced project serves."""
    return load(reproduced)


@pytest.fixture
def client(reproduced: Path, tmp_path: Path) -> Iterator[TestClient]:
    """The app of the reproduced project, with a prediction log of its own."""
    settings = Settings(root=reproduced, var=tmp_path / "var")
    with TestClient(create(settings)) as found:
        yield found
