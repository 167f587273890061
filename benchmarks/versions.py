"""The time that DVC needs where nothing is to be done: here, and in an empty pipeline.

The empty pipeline is a chain of as many stages: each copies one file of two bytes and has no
params.
"""

import importlib.util
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from benchmarks import commands
from benchmarks.report import Report, required
from versions.repository import lock

ROUNDS, WARM_UP = 7, 1
TIMES = 1.5
"""What `dvc repro` may take at most, times that of the empty pipeline."""

COMMANDS = {
    "dvc repro": ("repro",),
    "dvc status": ("status",),
    "dvc exp run": ("exp", "run"),
    "dvc --version": ("--version",),
}


def chain(folder: Path, stages: int) -> Path:
    """A project with an empty pipeline that has been run and committed."""
    commands.empty(folder)
    (folder / "0.txt").write_text("0\n", encoding="utf-8")
    lines = [
        f"  s{n}: {{cmd: cp {n}.txt {n + 1}.txt, deps: [{n}.txt], outs: [{n + 1}.txt]}}\n"
        for n in range(stages)
    ]
    (folder / "dvc.yaml").write_text("stages:\n" + "".join(lines), encoding="utf-8")
    commands.dvc(folder, "repro")
    commands.commit(folder, "An empty pipeline")
    return folder


def race(folders: Mapping[str, Path]) -> dict[str, dict[str, list[float]]]:
    """Seconds of each command in each folder, round by round, the folders one after the other.

    The first rounds, which fill the caches of the system and of DVC, do not count.
    """
    seconds: dict[str, dict[str, list[float]]] = {
        name: {where: [] for where in folders} for name in COMMANDS
    }
    for number in range(-WARM_UP, ROUNDS):
        # The one that is first in one round is last in the next.
        order = list(folders)[:: 1 if number % 2 else -1]
        for name, arguments in COMMANDS.items():
            for where in order:
                elapsed = commands.dvc(folders[where], *arguments)
                if number >= 0:
                    seconds[name][where].append(elapsed)
    return seconds


def lines(path: Path) -> int:
    """How many lines a file has."""
    return len(path.read_text(encoding="utf-8").splitlines())


def measure() -> Report:
    """Both pipelines, every command, medians."""
    with tempfile.TemporaryDirectory() as work:
        ours = commands.reproduced(Path(work) / "ours")
        stages = len(lock.read(ours / lock.LOCK_FILE).stages)
        bare = chain(Path(work) / "bare", stages)
        seconds = race({"ours": ours, "bare": bare})
        sizes = [lines(folder / lock.LOCK_FILE) for folder in (ours, bare)]
        params = lines(ours / "params.yaml")
    rows = [row(name, seconds[name]["ours"], seconds[name]["bare"]) for name in COMMANDS]
    times = median(seconds["dvc repro"]["ours"]) / median(seconds["dvc repro"]["bare"])
    reader = "C" if importlib.util.find_spec("_ruamel_yaml") else "pure Python"
    findings = [
        f"Both pipelines have {stages} stages, all up to date; medians of {ROUNDS} rounds.",
        (
            f"Ours has a dvc.lock of {sizes[0]:,} lines, the empty one of {sizes[1]:,}; the "
            f"{params} lines of params.yaml are read once for each stage."
        ),
        f"`dvc repro`: {required(times, TIMES)}.",
        f"DVC reads YAML in {reader} here.",
    ]
    header = ("command", "this project, s", "empty pipeline, s", "times")
    return Report(header, rows, findings, ("dvc", "ruamel.yaml"))


def row(name: str, ours: Sequence[float], bare: Sequence[float]) -> tuple[str, ...]:
    """The medians of a command, and their ratio."""
    mine, other = median(ours), median(bare)
    return (f"`{name}`", f"{mine:.2f}", f"{other:.2f}", f"{mine / other:.2f}")
