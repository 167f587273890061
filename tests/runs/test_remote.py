"""What goes wrong with a real S3 endpoint: killed, hung, broken, closed to us."""

import hashlib
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.narrow import ALONE, GONE, LARGE, SMALL, Narrow, said_within, wait_for
from tests.s3 import S3

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _signed(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()  # noqa: S324  # what DVC names objects by


def whole(s3: S3) -> dict[str, bool]:
    """The objects under final names by oid, and whether their bytes are those of their name."""
    states = {}
    for path in s3.objects().values():
        oid = path.parent.name + path.name
        # The server takes a file away before it puts another in its place.
        with suppress(FileNotFoundError):
            if not path.name.startswith("."):
                states[oid] = md5(path.read_bytes()) == oid.removesuffix(".dir")
    return states


def stamp(path: Path) -> tuple[int, int] | None:
    """A value that changes when a file is written anew; None while there is no such file."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns


def test_a_server_killed_within_push_and_pull(tmp_path: Path, s3: S3) -> None:
    first = Narrow.make(tmp_path / "first", LARGE)
    first.point(s3)
    pushing = first.start("remote", "push", "--jobs", "1")
    # By names: reading 8 MB first would be too late.
    wait_for(lambda: any(not path.name.startswith(".") for path in s3.objects().values()))
    s3.kill()
    assert said_within(60, pushing).startswith(f"error: {s3.url} {GONE}")
    # The kill came in the middle, and no object is there by half.
    there = whole(s3)
    assert 0 < len(there) < 12
    assert all(there.values())

    s3.start()
    (line,) = first.remote("push")
    assert line == f"push: the remote has all 12 objects, {12 - len(there)} of them sent now"
    assert whole(s3) == dict.fromkeys(whole(s3), True)
    assert len(whole(s3)) == 12

    second = first.clone(tmp_path / "second")
    second.point(s3)
    former = {"data/00.bin": b"former", "alone.bin": b"former"}
    second.write(former)
    pulling = second.start("remote", "pull", "--jobs", "1")
    # The list of the folder comes first.
    wait_for(lambda: len(second.cached()) > 1)
    with s3.frozen():  # the next pull needs something to be cut off in
        os.killpg(pulling.pid, signal.SIGINT)
    assert said_within(30, pulling).startswith(
        "error: pull was interrupted: what has arrived stays"
    )
    come = len(second.cached())
    assert 1 < come < 10
    assert second.files() == former

    pulling = second.start("remote", "pull", "--jobs", "1")
    wait_for(lambda: len(second.cached()) > come)
    s3.kill()
    assert said_within(60, pulling).startswith(f"error: {s3.url} {GONE}")
    assert come < len(second.cached()) < 12
    assert all(md5(path.read_bytes()) in str(path).replace("/", "") for path in second.cached())
    assert second.files() == former

    s3.start()
    second.write({})
    assert second.remote("pull") == ["pull: all 12 objects are here"]
    assert second.files() == {**LARGE, **ALONE}
    assert "up to date" in second.dvc("status")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def stored(s3: S3, content: bytes, folder: str = "cache") -> Path:
    name = md5(content)
    return s3.objects()[f"{folder}/files/md5/{name[:2]}/{name[2:]}"]


@contextmanager
def stopped(s3: S3) -> Iterator[None]:
    """The bucket changes while rclone does not run: it keeps what it knows of a file."""
    s3.stop()
    yield
    s3.start()


def test_what_is_broken_in_the_bucket_is_named_and_healed(tmp_path: Path, s3: S3) -> None:
    first = Narrow.make(tmp_path / "first", SMALL)
    first.point(s3)
    first.remote("push")
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
    line = second.remote("pull")[-1]
    assert "the remote has alone.bin, data/00.bin, data/01.bin with other bytes than dvc" in line
    assert "run `make heal` in a clone that has it, then `make pull` again" in line
    assert second.files() == former

    (the_list,) = (path for name, path in s3.objects().items() if name.endswith(".dir"))
    with stopped(s3):
        truncate(the_list)
    for path in second.cached():
        path.unlink()
    (line,) = second.remote("pull")
    assert line.startswith("error: the list of the files of data/ is whole neither in the remote")
    assert "`make heal`" in line
    assert second.files() == former

    healed = first.remote("heal")
    for name in ("data/", "alone.bin", "data/00.bin", "data/01.bin"):
        assert f"heal: {name}: corrupt in the remote" in "\n".join(healed)
    assert healed[-1] == "heal: the remote has all 6 objects, 4 of them sent now"
    assert all(whole(s3).values())
    assert len(whole(s3)) == 6
    # What is in the way of a checkout is named, and stays.
    line = second.remote("pull")[-1]
    assert "`dvc checkout --force`" in line
    assert f"{second.folder}/alone.bin" in line
    assert second.files() == former
    second.write({})
    second.remote("pull")
    assert second.files() == {**SMALL, **ALONE}
    assert first.remote("heal") == ["heal: the remote has all 6 objects, 0 of them sent now"]


def test_without_a_whole_copy_heal_makes_room_for_those_who_have_one(
    tmp_path: Path, s3: S3
) -> None:
    first = Narrow.make(tmp_path / "first", SMALL)
    first.point(s3)
    first.dvc("push")
    second = first.clone(tmp_path / "second")
    second.point(s3)
    # Paths narrow what is moved.
    second.remote("pull", "data/01.bin")
    assert second.files() == {"data/01.bin": SMALL["data/01.bin"]}
    second.remote("pull")

    with stopped(s3):
        flip(stored(s3, SMALL["data/02.bin"]))
        stored(s3, SMALL["data/03.bin"]).unlink()
    # The cache of the second lacks the one and has the other broken; its working tree is changed.
    second.write({**SMALL, **ALONE, "data/02.bin": b"mine", "data/03.bin": b"mine"})
    cached = {path.parent.name + path.name: path for path in second.cached()}
    cached[md5(SMALL["data/03.bin"])].unlink()
    broken = cached[md5(SMALL["data/02.bin"])]
    broken.chmod(0o644)
    flip(broken)
    *healed, error = second.remote("heal")
    assert healed == [
        f"heal: data/02.bin: corrupt in the remote ({md5(SMALL['data/02.bin'])})",
        f"heal: data/03.bin: missing in the remote ({md5(SMALL['data/03.bin'])})",
        "heal: data/02.bin: corrupt in the cache here, deleted",
    ]
    assert error.startswith("error: data/02.bin, data/03.bin, data/ of this revision is neither in")
    assert "`make push` in the clone that made it" in error
    assert len(whole(s3)) == 3
    assert not broken.exists()
    line = second.remote("pull")[-1]
    assert line.startswith("error: the remote lacks data/02.bin, data/03.bin: run `make push` in")
    assert second.files()["data/02.bin"] == b"mine"

    # Without the list of the folder in the bucket, DVC looks again.
    assert "3 files pushed" in first.dvc("push")
    assert all(whole(s3).values())
    assert len(whole(s3)) == 6


def test_what_a_bucket_has_lost_comes_with_the_next_push(tmp_path: Path, s3: S3) -> None:
    first = Narrow.make(tmp_path / "first one", SMALL)
    first.point(s3, "our cache")
    first.dvc("push")
    (the_list,) = (path for name, path in s3.objects().items() if name.endswith(".dir"))
    one, other = (stored(s3, SMALL[name], "our cache") for name in ("data/01.bin", "data/02.bin"))
    with stopped(s3):
        one.unlink()
        other.unlink()
    # DVC goes by its own notes on what the bucket has.
    assert "Everything is up to date" in first.dvc("push")
    assert first.remote("push") == ["push: the remote has all 6 objects, 2 of them sent now"]
    assert one.read_bytes() == SMALL["data/01.bin"]

    # The cache is broken and the working tree is changed: nothing wrong is sent, nor the list.
    with stopped(s3):
        other.unlink()
        the_list.unlink()
    cached = {path.parent.name + path.name: path for path in first.cached()}
    broken = cached[md5(SMALL["data/02.bin"])]
    broken.chmod(0o644)
    flip(broken)
    first.write({**SMALL, **ALONE, "data/02.bin": b"mine"})
    (line,) = first.remote("push")
    assert line.startswith(
        "error: data/02.bin, data/ of this revision is neither in s3://stocks/our"
    )
    assert "nor here: `make push` in the clone that made it, or `dvc repro`" in line
    assert not other.exists()
    assert not the_list.exists()
    # A working tree that is whole is a copy as good as that of the cache.
    first.write({**SMALL, **ALONE})
    assert first.remote("push") == ["push: the remote has all 6 objects, 2 of them sent now"]
    assert all(whole(s3).values())


def test_an_interrupted_healing_is_taken_up(tmp_path: Path, s3: S3) -> None:
    first = Narrow.make(tmp_path / "first", LARGE)
    first.point(s3)
    first.dvc("push")
    with stopped(s3):
        broken = [stored(s3, content) for content in LARGE.values()]
        for path in broken:
            flip(path)
    former = {path: stamp(path) for path in broken}

    def mended() -> int:
        return sum(stamp(path) not in {None, former[path]} for path in broken)

    healing = first.start("remote", "heal")
    wait_for(lambda: mended() > 0)
    with s3.frozen():  # it would mend the rest before the signal is heard
        os.killpg(healing.pid, signal.SIGINT)
    assert said_within(30, healing).startswith(
        "error: heal was interrupted: what has arrived stays"
    )
    # All but the one that was never corrupt; the list is written last.
    assert 0 < sum(whole(s3).values()) - 1 < len(broken)
    done = mended()
    healing = first.start("remote", "heal")
    # What was on its way when the former one ended may have come since.
    wait_for(lambda: mended() > done + 1)
    s3.kill()
    assert said_within(60, healing).startswith(f"error: {s3.url} {GONE}")
    s3.start()
    assert first.remote("heal")[-1].startswith("heal: the remote has all 12 objects")
    assert len(whole(s3)) == sum(whole(s3).values()) == 12
