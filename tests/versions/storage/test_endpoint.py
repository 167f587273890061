"""The S3 server of a clone: its port, its process, its state."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest

from stages.common.errors import VersionError
from tests.narrow import wait_for
from versions.storage import endpoint
from versions.storage.endpoint import Server


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


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """The processes that a test starts, which end with it."""
    serve = endpoint._serve
    found: list[subprocess.Popen[bytes]] = []

    def noted(server: Server) -> "subprocess.Popen[bytes]":
        found.append(serve(server))
        return found[-1]

    monkeypatch.setattr(endpoint, "_serve", noted)
    yield found
    for process in found:
        process.kill()
        process.wait()


def test_a_port_that_another_takes_meanwhile_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: list["subprocess.Popen[bytes]"]
) -> None:
    free = endpoint._free
    monkeypatch.setattr(endpoint, "PORT", free(0))
    servers = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        # As if neither had been there when the other looked.
        monkeypatch.setattr(endpoint, "_free", Mock(side_effect=[endpoint.PORT, free(0)]))
        server, anew = endpoint.start()
        assert anew
        assert endpoint._known() == server
        assert endpoint._takes_key(server)
        servers.append(server)
    one, other = servers
    assert one.port == endpoint.PORT != other.port
    assert (one.pid, other.pid) == (started[0].pid, started[2].pid)
    assert started[1].poll() is not None
    assert one.secret != other.secret
    assert not endpoint._takes_key(replace(one, secret=other.secret))
    assert all(map(endpoint.running, servers))


def test_a_server_that_ends_at_once_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "PORT", endpoint._free(0))
    monkeypatch.setenv("RCLONE_SERVER_READ_TIMEOUT", "nonsense")
    with pytest.raises(VersionError, match=r"^rclone does not listen on http://.*: see var/s3/"):
        endpoint.start()


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
