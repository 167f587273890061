"""The S3 server of a clone: its port, its process, its state."""

import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.common.errors import VersionError
from tests.projects import ROOT, Project
from versions import s3

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A clone with nothing but settings, whose server ends with the test."""
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_bytes((ROOT / ".dvc" / "config").read_bytes())
    Project(tmp_path).git("init", "--quiet")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    run("stop", check=False)


def run(command: str, *, check: bool = True) -> str:
    """The line of the command, as a process of its own."""
    words = (sys.executable, "-m", "versions.s3", command)
    return Project(Path()).run(*words, check=check, PYTHONPATH=str(ROOT))


def state() -> s3.Server:
    return s3.Server(**json.loads(s3.STATE.read_text(encoding="utf-8")))


def remember(server: s3.Server) -> None:
    s3.FOLDER.mkdir(parents=True, exist_ok=True)
    s3.STATE.write_text(json.dumps(server._asdict()), encoding="utf-8")


def test_a_port_that_is_taken_is_left_alone() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        remember(s3.Server(port, "key", "secret"))
        assert "started, data in var/s3/data" in run("start")
    server = state()
    assert server.port != port
    assert (server.key, server.secret) == ("key", "secret")
    assert "runs already" in run("start")
    assert state() == server
    assert run("stop") == "s3: stopped\n"
    assert "started" in run("start")
    assert state()._replace(pid=0) == server._replace(pid=0)
    assert state().pid != server.pid


def test_a_process_of_another_program_is_left_alone() -> None:
    # After a restart of the machine, the number in the state may be that of another program.
    remember(s3.Server(9000, "key", "secret", os.getpid()))
    assert run("stop") == "s3: does not run\n"


def test_what_keeps_it_from_starting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "expected start or stop, got halt" in run("halt", check=False)
    monkeypatch.setenv("RCLONE_SERVER_READ_TIMEOUT", "nonsense")
    printed = run("start", check=False)
    assert printed.startswith("error: rclone does not listen on http://127.0.0.1:")
    assert "see var/s3/rclone.log" in printed
    s3.STATE.write_text("{", encoding="utf-8")
    assert "var/s3/server.json cannot be read: delete it" in run("start", check=False)
    monkeypatch.setattr(sys, "executable", "nowhere/python")
    with pytest.raises(VersionError, match="rclone is missing: run `make install`"):
        s3.start(s3.Server(9000, "key", "secret"), 0)
