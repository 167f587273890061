"""A served project that tests read and never change."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from serve.app import create
from serve.checkout.bundle import Bundle
from serve.checkout.loading import load
from serve.server_settings import Settings


@pytest.fixture(scope="session")
def bundle(reproduced: Path) -> Bundle:
    """What the reproduced project serves."""
    return load(reproduced)


@pytest.fixture
def client(reproduced: Path, tmp_path: Path) -> Iterator[TestClient]:
    """The app of the reproduced project, with a prediction log of its own."""
    settings = Settings(root=reproduced, var=tmp_path / "var")
    with TestClient(create(settings)) as client:
        yield client


@pytest.fixture(scope="session")
def models(reproduced: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds `models/` and `dvc.lock` alone, as a container does; never changed."""
    folder = tmp_path_factory.mktemp("container")
    shutil.copytree(reproduced / "models", folder / "models")
    shutil.copy(reproduced / "dvc.lock", folder)
    return folder


@pytest.fixture
def container(models: Path, tmp_path: Path) -> Path:
    """A copy of it, to break."""
    folder = tmp_path / "container"
    shutil.copytree(models, folder)
    return folder


@pytest.fixture(scope="session")
def small_models(brief_history: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of a project with a brief history and one horizon."""
    folder = tmp_path_factory.mktemp("small") / "container"
    shutil.copytree(brief_history / "models", folder / "models")
    shutil.copy(brief_history / "dvc.lock", folder)
    return folder


@pytest.fixture(scope="session")
def small_bundle(small_models: Path) -> Bundle:
    """What it serves."""
    return load(small_models, "image-7")
