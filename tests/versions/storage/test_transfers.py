"""Push and pull: of a revision, of single paths, and with a server that goes silent."""

import signal
import time
from pathlib import Path

import pytest

from stages.common.errors import VersionError
from tests.narrow import GONE, LARGE, SMALL, Narrow
from tests.s3 import S3
from versions.storage import faults, object_store, remote_config, transfers
from versions.storage.transfers import Sent

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _signed(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)


def push(project: Narrow, revision: str) -> Sent:
    with remote_config.opened(project.folder) as remote:
        return transfers.push(remote, revision=revision)


def test_a_revision_is_completed_in_the_remote(
    tmp_path: Path, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Narrow.make(tmp_path / "first", SMALL)
    first.point(s3)
    where = "s3://stocks/cache/files/md5"
    assert push(first, "HEAD") == Sent(where, 6, 6)
    # A clone without data sees the same, from the bucket alone.
    second = first.clone(tmp_path / "second")
    second.point(s3)
    assert push(second, "HEAD") == Sent(where, 6, 0)

    (lost,) = (path for path in s3.objects().values() if path.read_bytes() == SMALL["data/01.bin"])
    s3.stop()
    lost.unlink()
    s3.start()
    with pytest.raises(VersionError, match=r"^data/01.bin of HEAD is neither in s3://stocks/cache"):
        push(second, "HEAD")
    assert not second.cached()
    assert push(first, "HEAD") == Sent(where, 6, 1)

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(VersionError, match="refuses the signature: look at AWS_SECRET_ACCESS_KEY"):
        push(first, "HEAD")
    s3.stop()
    with pytest.raises(VersionError) as raised:
        push(first, "HEAD")
    assert str(raised.value).startswith(f"{s3.url} {GONE}")


def test_a_remote_of_another_kind_is_used_as_well(tmp_path: Path) -> None:
    first = Narrow.make(tmp_path / "first", SMALL)
    second = first.clone(tmp_path / "second")
    for clone in (first, second):
        clone.dvc("remote", "add", "--local", "--default", "other", str(tmp_path / "folder"))
    assert first.remote("push") == ["push: the remote has all 6 objects, 6 of them sent now"]
    second.remote("pull")
    assert second.files() == first.files()
    (path,) = (tmp_path / "folder").rglob("*.dir")
    path.unlink()
    assert second.remote("heal")[-1] == "heal: the remote has all 6 objects, 1 of them sent now"


def test_paths_narrow_what_is_moved(tmp_path: Path, s3: S3) -> None:
    first = Narrow.make(tmp_path / "first", SMALL)
    second = first.clone(tmp_path / "second")
    for clone in (first, second):
        clone.point(s3)
    assert first.remote("push", "data/01.bin", "alone.bin") == [
        "push: the remote has all 3 objects, 3 of them sent now"
    ]
    second.remote("pull", "data/01.bin")
    assert list(second.files()) == ["data/01.bin"]
    first.remote("push")
    second.remote("pull", ".")
    assert second.files() == first.files()
    for target in ("dat", "source", "../data", "/data"):
        assert second.remote("pull", target) == [
            f"error: no output is, holds or lies in {target}; `dvc ls -R --dvc-only .`"
        ]


@pytest.mark.parametrize("direction", ["push", "pull", "heal"])
def test_a_server_that_goes_silent_is_given_up(
    tmp_path: Path, s3: S3, monkeypatch: pytest.MonkeyPatch, direction: str
) -> None:
    first = Narrow.make(tmp_path / "first", LARGE)
    first.point(s3)
    if direction == "pull":
        first.remote("push")
        first = first.clone(tmp_path / "second")
        first.point(s3)
    first.dvc("remote", "modify", "--local", "storage", "read_timeout", "2")
    monkeypatch.chdir(first.folder)
    monkeypatch.setattr(faults, "CHECK_SECONDS", 0.5)
    add = object_store._add

    def hang(*arguments: object) -> object:
        assert s3._process is not None
        s3._process.send_signal(signal.SIGSTOP)
        return add(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(object_store, "_add", hang)
    with (
        pytest.raises(VersionError, match="does not answer: start it"),
        remote_config.opened() as remote,
    ):
        started = time.monotonic()
        getattr(transfers, direction)(remote)
    assert time.monotonic() - started < 60
    # What is stopped does not end in order.
    s3.kill()
