"""The S3 server of a clone: its port, its process, its state."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from stages.errors import VersionError
from stages.versions import endpoint
from stages.versions.endpoint import Server
from tests.narrow import wait_for


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_port_that_is_taken_is_left_alone() -> None:
    with socket.socket() as other:
        other.bind((endpoint.HOST, 0))
        other.listen()
        taken = other.getsockname()[1]
        assert endpoint._free(taken) != taken
    assert endpoint._free(taken) == taken


def test_a_process_of_somebody_else_is_not_ours() -> None:
    # Its number may have gone to another program since.
    assert not endpoint.running(Server(9000, "key", "secret", os.getpid()))
    assert not endpoint.running(Server(9000, "key", "secret"))
    endpoint.FOLDER.mkdir(parents=True)
    endpoint._remember(Server(9000, "key", "secret", os.getpid()))
    assert endpoint._known() == Server(9000, "key", "secret", os.getpid())
    assert endpoint.stop() is False


@pytest.mark.parametrize("processes", ["/proc", "/none"])
def test_a_process_is_told_by_its_command_line(
    processes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "PROCESSES", Path(processes))
    if not Path(processes).is_dir() and shutil.which("ps") is None:
        pytest.skip("there is neither /proc nor ps")
    command = [sys.executable, "-c", "input()", "--addr", f"{endpoint.HOST}:9000"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        # For a moment the system does not know it yet.
        wait_for(lambda: endpoint.running(Server(9000, "key", "secret", process.pid)))
        assert not endpoint.running(Server(9001, "key", "secret", process.pid))
        process.kill()
        # It has ended, and nobody has asked how.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not endpoint.running(Server(9000, "key", "secret", process.pid))


def test_a_state_that_cannot_be_read_is_named() -> None:
    endpoint.FOLDER.mkdir(parents=True)
    endpoint.STATE.write_text("{", encoding="utf-8")
    with pytest.raises(VersionError, match=r"var/s3/server\.json cannot be read: delete it"):
        endpoint.start()


def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "nowhere/python")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(VersionError, match="rclone is missing: run `make install`"):
        endpoint.start()
