"""A small project with a champion, as the working folder."""

import sys
from pathlib import Path

import pytest

from tests import forks
from tests.conftest import Once
from tests.monitor.arena import Arena
from tests.projects import copied


@pytest.fixture
def ground(once: Once, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Arena:
    """The project, as the working folder; the commands that a run starts are forked."""
    forks.keep_yaml(forks.folder() / "yaml")
    monkeypatch.setattr(sys, "executable", str(forks.folder() / "bin" / "python"))
    project = Arena(copied(once("arena", Arena.make), tmp_path / "project").folder)
    monkeypatch.chdir(project.folder)
    return project
