"""The time of a roll back until every byte is right, against git and plain copies.

It goes back and forth between two revisions of the sample, with different moving averages.
"""

import hashlib
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import commands
from benchmarks.panel import ROOT
from benchmarks.report import Report
from versions.repository import lock

ROUNDS, WARM_UP = 5, 1
CHANGE = "features.sma=[5,20]"
FORMER, NEWER = "former", "newer"

NO_HOOKS = ("-c", "core.hooksPath=/dev/null")


@dataclass(frozen=True)
class State:
    """The outputs of a revision.

    Attributes:
        md5: of each file, by its path in the project.
        copy: a folder with all of them.
    """

    md5: Mapping[str, str]
    copy: Path


def outputs(folder: Path) -> dict[str, str]:
    """The md5 of each file that DVC keeps of the checked-out revision, as it is on the disk.

    Raises:
        SystemExit: an output is not there.
    """
    md5s: dict[str, str] = {}
    for path in lock.read(folder / lock.LOCK_FILE).outs:
        if path.startswith("metrics"):  # in git
            continue
        place = folder / path
        files = sorted(place.rglob("*")) if place.is_dir() else [place]
        for file in files:
            if file.is_dir():
                continue
            if not file.exists():
                raise SystemExit(f"{path} is not there")
            digest = hashlib.md5(file.read_bytes(), usedforsecurity=False)
            md5s[str(file.relative_to(folder))] = digest.hexdigest()
    return md5s


def state(folder: Path, copy: Path) -> State:
    """What is checked out now, with a copy of its outputs."""
    md5 = outputs(folder)
    for name in md5:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, copy / name)
    return State(md5, copy)


def prepare(folder: Path, copies: Path) -> dict[str, State]:
    """Tag two revisions with their outputs, and leave the former checked out, with the hooks."""
    commands.commit(folder, "As it is")
    commands.git(folder, "tag", FORMER)
    former = state(folder, copies / FORMER)
    commands.dvc(folder, "exp", "run", "--set-param", CHANGE)
    commands.commit(folder, "Other averages")
    commands.git(folder, "tag", NEWER)
    newer = state(folder, copies / NEWER)
    commands.seconds(("sh", str(ROOT / ".ci" / "hooks"), sys.prefix), folder)
    commands.git(folder, "checkout", "--quiet", FORMER)
    return {FORMER: former, NEWER: newer}


def by_hook(folder: Path, to: str, _: Mapping[str, State]) -> float:
    """`git checkout`, whose hook runs `dvc checkout`."""
    return commands.git(folder, "checkout", "--quiet", to)


def by_hand(folder: Path, to: str, _: Mapping[str, State]) -> float:
    """`git checkout` in a clone without hooks, then `dvc checkout`."""
    return commands.git(folder, *NO_HOOKS, "checkout", "--quiet", to) + commands.dvc(
        folder, "checkout", "--quiet"
    )


def models_only(folder: Path, to: str, states: Mapping[str, State]) -> float:
    """Models of another revision below the data of this one; then all follows, uncounted."""
    files = ("dvc.lock", "params.yaml", "metrics")
    elapsed = commands.git(folder, "checkout", "--quiet", to, "--", *files)
    # DVC takes outputs and stages as targets, not a folder above outputs.
    makers = [
        name
        for name, stage in lock.read(folder / lock.LOCK_FILE).stages.items()
        if any(out.path.startswith("models/") for out in stage.outs)
    ]
    elapsed += commands.dvc(folder, "checkout", "--quiet", *makers)
    present = outputs(folder)
    for name, md5 in states[to].md5.items():
        if name.startswith("models/") and present.get(name) != md5:
            raise SystemExit(f"{name} is not that of {to}")
    commands.git(folder, "reset", "--quiet", "--hard")
    by_hand(folder, to, states)
    return elapsed


def by_copy(folder: Path, to: str, states: Mapping[str, State]) -> float:
    """`git checkout`, then copies of the files that differ, known beforehand."""
    now, wanted = outputs(folder), states[to]
    changed = [name for name, md5 in wanted.md5.items() if now.get(name) != md5]
    elapsed = commands.git(folder, *NO_HOOKS, "checkout", "--quiet", to)
    start = time.perf_counter()
    for name in now.keys() - wanted.md5.keys():
        (folder / name).unlink()
    for name in changed:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(wanted.copy / name, folder / name)
    return elapsed + time.perf_counter() - start


WAYS: Mapping[str, Callable[[Path, str, Mapping[str, State]], float]] = {
    "`git checkout` with the hooks of `make hooks`": by_hook,
    "`git checkout`, then `dvc checkout`": by_hand,
    "`git checkout REV -- dvc.lock params.yaml metrics`, `dvc checkout` of models": models_only,
    "`git checkout`, then plain copies of what differs": by_copy,
}


def race(folder: Path, states: Mapping[str, State]) -> dict[str, list[float]]:
    """Seconds of each way, there and back in each round; after each, every md5 is checked.

    Raises:
        SystemExit: a way left other bytes than those of its revision.
    """
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    for number in range(-WARM_UP, ROUNDS):
        for name, way in WAYS.items():
            for to in (NEWER, FORMER):
                elapsed = way(folder, to, states)
                if outputs(folder) != states[to].md5:
                    raise SystemExit(f"{name} left other outputs than those of {to}")
                if number >= 0:
                    seconds[name].append(elapsed)
    return seconds


def measure() -> Report:
    """All ways, medians."""
    with tempfile.TemporaryDirectory() as work:
        folder = commands.reproduced(Path(work) / "project")
        states = prepare(folder, Path(work) / "copies")
        seconds = race(folder, states)
        start = median(commands.dvc(folder, "checkout", "--quiet") for _ in range(ROUNDS))
        changed = [
            states[NEWER].copy / name
            for name, md5 in states[NEWER].md5.items()
            if states[FORMER].md5.get(name) != md5
        ]
        size = sum(path.stat().st_size for path in changed) / 1e6
        total = len(states[NEWER].md5)
    *_, plain = (median(times) for times in seconds.values())
    rows = [
        (name, f"{median(times):.3f}", f"{max(times):.3f}", f"{median(times) / plain:.1f}")
        for name, times in seconds.items()
    ]
    findings = [
        (
            f"The two revisions differ in {len(changed)} of {total} files, {size:.1f} MB; every "
            f"md5 was right after each of the {2 * ROUNDS} times that each way was gone."
        ),
        f"`dvc checkout` with nothing to do takes {start:.2f} s: DVC's start and its dvc.lock.",
    ]
    header = ("way back", "median, s", "slowest, s", "times the copies")
    return Report(header, rows, findings, ("dvc",))
