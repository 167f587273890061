"""What the tests of stages share."""

import contextlib
import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _no_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    """A `main` that a test calls does not read the command line of pytest."""
    monkeypatch.setattr(sys, "argv", ["stage"])


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Out of the project, where each ingest would open it with DVC, to look for former bars."""
    with contextlib.chdir(tmp_path_factory.mktemp("elsewhere")):
        yield
