"""What goes wrong with a real S3 endpoint: killed, hung, broken, closed to us."""

import hashlib
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stages.errors import VersionError
from stages.versions import remote, transfer
from tests.narrow import ALONE, LARGE, SMALL, Narrow, wait_for
from tests.s3 import S3

pytestmark = pytest.mark.slow

GONE = "does not answer: start it (`make s3` for that of this clone), or look at endpointurl (http"


@pytest.fixture(autouse=True)
def _signed(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)


def last(printed: str) -> str:
    return printed.strip().splitlines()[-1]


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()  # noqa: S324  # what DVC names objects by


def whole(s3: S3) -> dict[str, bool]:
    """The objects under final names by oid, and whether their bytes are those of their name."""
    found = {path.parent.name + path.name: path for path in s3.objects().values()}
    return {
        oid: md5(path.read_bytes()) == oid.removesuffix(".dir")
        for oid, path in found.items()
        if not path.name.startswith(".")
    }


def test_a_server_killed_within_push_and_pull(tmp_path: Path, s3: S3) -> None:
    first = Narrow.make(tmp_path / "first", LARGE)
    first.point(s3)
    started = time.monotonic()
    pushing = first.start("remote", "push", "--jobs", "1")
    wait_for(lambda: bool(s3.objects()))
    s3.kill()
    printed, _ = pushing.communicate(timeout=120)
    assert time.monotonic() - started < 60
    assert pushing.returncode == 1
    assert last(printed).startswith(f"error: {s3.url} {GONE}"), printed
    # It was in the middle, and nothing is there by half.
    there = whole(s3)
    assert len(there) < 12
    assert all(there.values())

    s3.start()
    assert "push: the bucket has all 12 objects" in first.stage("remote", "push")
    assert len(whole(s3)) == 12
    assert all(whole(s3).values())

    second = first.clone(tmp_path / "second")
    second.point(s3)
    former = {"data/00.bin": b"former", "alone.bin": b"former"}
    second.write(former)
    started = time.monotonic()
    pulling = second.start("remote", "pull", "--jobs", "1")
    # The list of the folder comes first.
    wait_for(lambda: len(second.cached()) > 1)
    s3.kill()
    printed, _ = pulling.communicate(timeout=120)
    assert time.monotonic() - started < 60
    assert pulling.returncode == 1
    assert last(printed).startswith(f"error: {s3.url} {GONE}"), printed
    assert 1 < len(second.cached()) < 12
    assert all(md5(path.read_bytes()) in str(path).replace("/", "") for path in second.cached())
    assert second.files() == former

    s3.start()
    second.write({})
    assert "pull: all 12 objects" in second.stage("remote", "pull")
    assert second.files() == {**LARGE, **ALONE}
    assert "up to date" in second.dvc("status")


def test_a_server_that_hangs_is_given_up(
    tmp_path: Path, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Narrow.make(tmp_path / "first", SMALL)
    first.point(s3)
    monkeypatch.chdir(first.folder)
    monkeypatch.setattr(transfer, "LOOK_SECONDS", 0.5)
    monkeypatch.setattr(transfer, "END_SECONDS", 2)
    check = remote.check

    def hang(there: remote.Remote) -> None:
        check(there)
        monkeypatch.setattr(remote, "ANSWER_SECONDS", 1)
        assert s3._process is not None
        s3._process.send_signal(signal.SIGSTOP)
        monkeypatch.setattr(remote, "check", check)

    monkeypatch.setattr(remote, "check", hang)
    started = time.monotonic()
    with (
        pytest.raises(VersionError, match="it went away during `dvc push`: what has been tran"),
        remote.opened() as there,
    ):
        transfer.push(there)
    assert time.monotonic() - started < 30
    # What is stopped does not end in order.
    s3.kill()


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def stored(s3: S3, content: bytes) -> Path:
    name = md5(content)
    return s3.objects()[f"cache/files/md5/{name[:2]}/{name[2:]}"]


@contextmanager
def stopped(s3: S3) -> Iterator[None]:
    """The bucket changes while rclone does not run: it keeps what it knows of a file."""
    s3.stop()
    yield
    s3.start()


def test_what_is_broken_in_the_bucket_is_named_and_healed(tmp_path: Path, s3: S3) -> None:
    first = Narrow.make(tmp_path / "first", SMALL)
    first.point(s3)
    first.stage("remote", "push")
    second = first.clone(tmp_path / "second")
    second.point(s3)
    former = {"alone.bin": b"former", "data/00.bin": b"former"}
    second.write(former)

    with stopped(s3):
        flip(stored(s3, SMALL["data/00.bin"]))
        truncate(stored(s3, SMALL["data/01.bin"]))
        flip(stored(s3, ALONE["alone.bin"]))
    # DVC's own push leaves a broken object as it is.
    assert "Everything is up to date" in first.dvc("push")
    printed = second.stage("remote", "pull", check=False)
    assert last(printed) == (
        "error: the bucket holds alone.bin, data/00.bin, data/01.bin with other bytes than dvc.lock"
        " says: run `make heal` in a clone that has them, then `make pull` again; the working tree"
        " is as it was"
    )
    assert second.files() == former

    (the_list,) = (path for name, path in s3.objects().items() if name.endswith(".dir"))
    with stopped(s3):
        truncate(the_list)
    for path in second.cached():
        path.unlink()
    printed = second.stage("remote", "pull", check=False)
    assert "error: the bucket holds alone.bin, data/ with other bytes" in last(printed)
    assert second.files() == former

    printed = first.stage("remote", "push", check=False)
    assert last(printed) == (
        "error: `dvc push` ended with 255, see its lines above; `make heal` mends what is broken in"
        " the bucket"
    )
    healed = first.stage("remote", "heal")
    for name in ("data/", "alone.bin", "data/00.bin", "data/01.bin"):
        assert f"heal: {name}: written anew" in healed
    assert all(whole(s3).values())
    # What is in the way of a checkout is named, and stays.
    printed = second.stage("remote", "pull", check=False)
    assert last(printed).startswith("error: `dvc checkout` ended with 255: keep what it names abov")
    assert second.files() == former
    second.write({})
    second.stage("remote", "pull")
    assert second.files() == {**SMALL, **ALONE}
    assert first.stage("remote", "heal") == "heal: read 6 objects in the bucket, all whole\n"


def test_without_a_whole_copy_heal_makes_room_for_those_who_have_one(
    tmp_path: Path, s3: S3
) -> None:
    first = Narrow.make(tmp_path / "first", SMALL)
    first.point(s3)
    first.dvc("push")
    second = first.clone(tmp_path / "second")
    second.point(s3)
    # Paths narrow what is moved.
    second.stage("remote", "pull", "data/01.bin")
    assert second.files() == {"data/01.bin": SMALL["data/01.bin"]}
    second.stage("remote", "pull")

    with stopped(s3):
        flip(stored(s3, SMALL["data/02.bin"]))
        stored(s3, SMALL["data/03.bin"]).unlink()
    # DVC goes by its own notes on what the bucket has.
    assert "Everything is up to date" in first.dvc("push")
    assert last(first.stage("remote", "push", check=False)) == (
        "error: the bucket lacks data/03.bin: run `make push` again, and `make heal` if that does"
        " not help"
    )
    # The cache of the second lacks the one and has the other broken; its working tree is changed.
    second.write({**SMALL, **ALONE, "data/02.bin": b"mine", "data/03.bin": b"mine"})
    cached = {path.parent.name + path.name: path for path in second.cached()}
    cached[md5(SMALL["data/03.bin"])].unlink()
    broken = cached[md5(SMALL["data/02.bin"])]
    broken.chmod(0o644)
    flip(broken)
    printed = second.stage("remote", "heal", check=False)
    assert "heal: data/02.bin: deleted in the bucket, its bytes were wrong" in printed
    assert "heal: data/02.bin: deleted in the cache of this clone, its bytes were wrong" in printed
    assert last(printed) == (
        "error: the bucket lacks data/02.bin, data/03.bin and no whole copy is here: run"
        " `make heal` in a clone that has them, or `dvc repro` and `make heal` here"
    )
    assert not broken.exists()
    assert last(second.stage("remote", "pull", check=False)).startswith(
        "error: the bucket lacks data/02.bin, data/03.bin: run `make push` in the clone that made"
    )
    assert second.files()["data/02.bin"] == b"mine"

    # Without the list of the folder in the bucket, DVC looks again.
    assert "3 files pushed" in first.dvc("push")
    assert all(whole(s3).values())
    assert len(whole(s3)) == 6


@pytest.fixture
def here(tmp_path: Path, s3: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    """The server, and a working folder with nothing but settings, which point at it."""
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_bytes(
        (Path(__file__).parents[2] / ".dvc" / "config").read_bytes()
    )
    Narrow(tmp_path).git("init", "--quiet")
    monkeypatch.chdir(tmp_path)
    remote.assign("s3://stocks/cache", s3.url)
    return s3


def fault() -> str | None:
    with remote.opened() as there:
        return remote.fault(there)


def test_every_fault_is_one_line_with_the_setting(
    here: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, local = here.url, ".dvc/config.local"
    assert fault() is None
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "stranger")
        assert fault() == f"{url} does not know the key: look at AWS_ACCESS_KEY_ID"
    with monkeypatch.context() as patch:
        patch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        assert fault() == f"{url} refuses the signature: look at AWS_SECRET_ACCESS_KEY"
    with monkeypatch.context() as patch:
        patch.delenv("AWS_ACCESS_KEY_ID")
        patch.delenv("AWS_SECRET_ACCESS_KEY")
        assert fault() == (
            f"no credentials for {url}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    remote.assign("s3://stocks/cache", url, ("tests", "wrong"))
    assert fault() == f"{url} refuses the signature: look at secret_access_key in {local}"
    remote.assign("s3://elsewhere/cache", url)
    assert fault() == (
        f"{url} has no bucket elsewhere: create it, or look at url (s3://elsewhere/cache) in"
        f" {local}"
    )
    tls = url.replace("http:", "https:")
    remote.assign("s3://stocks/cache", tls)
    assert fault() == (
        f"no TLS with {tls}: look at https or http in endpointurl ({tls}) in {local}, and at"
        " ssl_verify"
    )
    remote.assign("s3://stocks/cache", url)
    here.stop()
    assert fault() == f"{url} {GONE}{url.removeprefix('http')}) in {local} and at the network"


def test_the_endpoint_may_come_from_the_environment(
    here: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote.assign("s3://stocks/cache", None)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", here.url)
    assert fault() is None
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "stranger")
    assert fault() == f"{here.url} does not know the key: look at AWS_ACCESS_KEY_ID"


def test_settings_are_the_clone_s_own_and_nothing_of_a_former_server_stays(here: S3) -> None:
    local = Path(".dvc/config.local")
    remote.assign("s3://stocks/cache", here.url, ("a-key", "a-secret"))
    assert "a-secret" in local.read_text(encoding="utf-8")
    assert local.stat().st_mode & 0o077 == 0
    remote.assign("s3://team/stocks", None)
    assert local.read_text(encoding="utf-8").split() == [
        *("['remote", '"storage"\']', "url", "=", "s3://team/stocks"),
    ]


@pytest.mark.parametrize(
    ("url", "endpoint", "message"),
    [
        ("", None, "URL must be s3://bucket/path, got ''"),
        ("s3://", None, "URL must be s3://bucket/path, got 's3://'"),
        ("gs://bucket/path", None, "URL must be s3://bucket/path, got 'gs://bucket/path'"),
        ("s3://bucket", "host:9000", "ENDPOINT must be http(s)://host[:port], got 'host:9000'"),
    ],
)
def test_what_is_no_address_is_refused(url: str, endpoint: str | None, message: str) -> None:
    with pytest.raises(VersionError) as raised:
        remote.assign(url, endpoint)
    assert str(raised.value) == message


def test_without_a_bucket_nothing_is_sent_anywhere(tmp_path: Path) -> None:
    first = Narrow.make(tmp_path / "first", SMALL)
    for command in ("push", "pull", "heal", "check"):
        assert first.stage("remote", command, check=False) == (
            "error: no bucket is set: `make remote URL=s3://bucket/path` (with ENDPOINT=https://..."
            " if it is not AWS), or `make s3` for a server on this machine\n"
        )
    assert 'Invalid bucket name "(unset - run make remote)"' in first.dvc("push", check=False)
