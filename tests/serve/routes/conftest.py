"""One app for the tests of a module; each test begins with an empty prediction log."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from predictions.schema import label_store, prediction_logs
from serve.app import create
from serve.server_settings import Settings


@pytest.fixture(scope="module")
def shared(reproduced: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """The app of the reproduced project, with its own prediction log."""
    settings = Settings(root=reproduced, var=tmp_path_factory.mktemp("var"))
    with TestClient(create(settings)) as client:
        yield client


@pytest.fixture
def client(shared: TestClient) -> TestClient:
    """The same app, once nothing is left in its log."""
    engine = shared.app.state.service.engine  # type: ignore[attr-defined]
    with engine.begin() as connection:
        for table in (label_store, prediction_logs):
            connection.execute(sa.delete(table))
    return shared


@pytest.fixture
def var(client: TestClient) -> Path:
    """Where the app keeps its files."""
    folder: Path = client.app.state.service.settings.working_folder  # type: ignore[attr-defined]
    return folder
