"""What the tests of stages share."""

import sys

import pytest


@pytest.fixture(autouse=True)
def _no_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    """A `main` that a test calls does not read the command line of pytest."""
    monkeypatch.setattr(sys, "argv", ["stage"])
