"""A server that goes silent in the middle of a push or a healing."""

import signal
import time
from pathlib import Path

import pytest

from stages.common.errors import VersionError
from tests.narrow import LARGE, SMALL, Narrow
from tests.s3 import S3
from versions.storage import bucket, completeness, faults, heal, patience, remote_config, transfer
from versions.storage.objects import Object

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _signed(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)


def test_a_server_that_hangs_is_given_up(
    tmp_path: Path, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Narrow.make(tmp_path / "first", SMALL)
    first.point(s3)
    monkeypatch.chdir(first.folder)
    monkeypatch.setattr(patience, "LOOK_SECONDS", 0.5)
    monkeypatch.setattr(transfer, "END_SECONDS", 2)
    check = faults.check

    def hang(there: remote_config.Remote) -> None:
        check(there)
        monkeypatch.setattr(faults, "ANSWER_SECONDS", 1)
        assert s3._process is not None
        s3._process.send_signal(signal.SIGSTOP)
        monkeypatch.setattr(faults, "check", check)

    monkeypatch.setattr(faults, "check", hang)
    with (
        pytest.raises(VersionError, match="it went away during `dvc push`: what has been tran"),
        remote_config.opened() as there,
    ):
        started = time.monotonic()
        transfer.push(there)
    assert time.monotonic() - started < 30
    # What is stopped does not end in order.
    s3.kill()


@pytest.mark.parametrize("does", ["heal", "promote"])
def test_what_writes_is_not_hung_by_its_server(
    tmp_path: Path, s3: S3, monkeypatch: pytest.MonkeyPatch, does: str
) -> None:
    first = Narrow.make(tmp_path / "first", LARGE)
    first.point(s3)
    monkeypatch.chdir(first.folder)
    monkeypatch.setattr(patience, "LOOK_SECONDS", 0.5)
    write = bucket.write

    def hang(there: remote_config.Remote, source: Path, item: Object) -> None:
        monkeypatch.setattr(faults, "ANSWER_SECONDS", 1)
        assert s3._process is not None
        s3._process.send_signal(signal.SIGSTOP)
        write(there, source, item)

    monkeypatch.setattr(bucket, "write", hang)
    with (
        pytest.raises(VersionError, match=r"it went away during the writing of alone\.bin"),
        remote_config.opened() as there,
    ):
        started = time.monotonic()
        if does == "heal":
            heal.heal(there)
        else:
            completeness.ensure("HEAD")
    assert time.monotonic() - started < 30
    s3.kill()
