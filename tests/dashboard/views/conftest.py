"""A server in this process, for pages that run without a browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from serve.app import create
from serve.server_settings import Settings


@pytest.fixture(scope="module")
def app(reproduced: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """The app of the reproduced project, with its own prediction log."""
    settings = Settings(root=reproduced, var=tmp_path_factory.mktemp("var"))
    with TestClient(create(settings)) as client:
        yield client
