"""Runs of the pipeline in fresh clones of the sample: where the time of each goes.

A `python` ahead of the real one on PATH notes when each stage began and ended. The time outside of
all stages is DVC's own. In a clone of its own the interpreters report their imports.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.panel import ROOT
from benchmarks.processes import environment
from benchmarks.report import Report, required

PROFILE = "PYTHONPROFILEIMPORTTIME"

SHIM = """#!/bin/sh
start=$(date +%s%N)
if [ -n "${profile}" ]; then
    {python} "$@" 2>"{notes}/$start.imports"
else
    {python} "$@"
fi
status=$?
echo "$start $(date +%s%N) $*" >>"{notes}/spans"
exit $status
"""

FORMER = "0d3ce7d"
"""The commit with whose cold run that of the last commit is compared."""

TIMES_FORMER = 0.75
ROUNDS = 2

AVERAGES = ("--set-param", "features.sma=[5,20]")
EXPERIMENTS = (AVERAGES, (*AVERAGES, "--set-param", "models.ridge.alpha=2.0"))

PACKAGES = ("dvc", "polars", "great-expectations", "scikit-learn", "xgboost-cpu", "lightgbm")

_IMPORTS = re.compile(r"^import time: +(\d+|self \[us\]) \|.*\n", re.MULTILINE)


@dataclass(frozen=True)
class Run:
    """One run of a DVC command.

    Attributes:
        seconds: wall time.
        imports: seconds that DVC's own process spent on imports; 0 where not asked for.
        stages: by command line, in order: wall seconds and seconds of imports.
    """

    seconds: float
    imports: float
    stages: dict[str, tuple[float, float]]


def clone(folder: Path, *, lock: bool, revision: str = "HEAD") -> Path:
    """A fresh clone at a revision, its own modules compiled as those of .venv are.

    Without dvc.lock nothing has ever run there; with it DVC skips a stage whose results are in
    git.
    """
    subprocess.run(["git", "clone", "--quiet", "--no-local", ROOT, folder], check=True)
    subprocess.run(["git", "checkout", "--quiet", revision], cwd=folder, check=True)
    subprocess.run([sys.executable, "-m", "compileall", "-q", "stages"], cwd=folder, check=True)
    if not lock:
        (folder / "dvc.lock").unlink(missing_ok=True)
    return folder


def repro(
    folder: Path, notes: Path, command: Sequence[str] = ("repro",), *, imports: bool = False
) -> Run:
    """Run `dvc repro`, or another DVC command, in a project.

    Args:
        folder: the root of the project.
        notes: an empty folder outside of it.
        command: the arguments of `dvc`.
        imports: whether to ask the interpreters for the time of their imports, which costs time.

    Raises:
        SystemExit: it failed; its output follows.
    """
    shim = notes / "bin" / "python"
    shim.parent.mkdir(parents=True)
    python = shlex.quote(sys.executable)
    shim.write_text(
        SHIM.replace("{profile}", PROFILE)
        .replace("{python}", python)
        .replace("{notes}", str(notes)),
        encoding="utf-8",
    )
    shim.chmod(0o755)
    surroundings = environment(
        DVC_SITE_CACHE_DIR=str(notes / "site"), **({PROFILE: "1"} if imports else {})
    )
    surroundings["PATH"] = f"{shim.parent}{os.pathsep}{surroundings['PATH']}"
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *command],
        cwd=folder,
        env=surroundings,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - start
    reports = {path.stem: path.read_text(encoding="utf-8") for path in notes.glob("*.imports")}
    if done.returncode:
        output = _IMPORTS.sub("", "".join([done.stdout, *reports.values(), done.stderr]))
        raise SystemExit(f"dvc {' '.join(command)} failed:\n{output}")
    spans = notes / "spans"
    stages = {}
    for line in spans.read_text(encoding="utf-8").splitlines() if spans.exists() else ():
        began, ended, command = line.split(" ", 2)
        wall = (int(ended) - int(began)) / 1e9
        stages[command.removeprefix("-m stages.")] = (wall, _imported(reports.get(began, "")))
    return Run(seconds, _imported(done.stderr), stages)


def _imported(report: str) -> float:
    """Seconds of all imports in a report of `-X importtime`: the sum of their own times."""
    return sum(int(own) for own in _IMPORTS.findall(report) if own.isdigit()) / 1e6


def measure() -> Report:
    """Runs in three clones: two without dvc.lock, one with it, and this one a second time."""
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        cold = repro(clone(folder / "cold", lock=False), folder / "1")
        profiled = repro(clone(folder / "profiled", lock=False), folder / "2", imports=True)
        cloned = clone(folder / "cloned", lock=True)
        return report(cold, profiled, repro(cloned, folder / "3"), repro(cloned, folder / "4"))


def report(cold: Run, profiled: Run, cloned: Run, idle: Run) -> Report:
    """The time of the cold run by stage; the share of imports is that of the profiled run."""
    shares = {name: imports / seconds for name, (seconds, imports) in profiled.stages.items()}
    parts = {name: (wall, wall * shares[name]) for name, (wall, _) in cold.stages.items()}
    working = sum(seconds for seconds, _ in parts.values())
    importing = sum(imports for _, imports in parts.values())
    dvc = cold.seconds - working
    profiled_dvc = profiled.seconds - sum(seconds for seconds, _ in profiled.stages.values())
    parts["all stages"] = (working, importing)
    parts["DVC itself"] = (dvc, dvc * profiled.imports / profiled_dvc)
    parts["in all"] = (cold.seconds, importing + parts["DVC itself"][1])
    rows = [
        (name, *(f"{seconds:.2f}" for seconds in (wall, imports, wall - imports)))
        for name, (wall, imports) in parts.items()
    ]
    share = importing / working
    skipped = len(cold.stages) - len(cloned.stages)
    findings = [
        f"{len(cold.stages)} stages take {working:.1f} s, {share:.0%} of them imports.",
        f"DVC itself takes {dvc:.1f} s.",
        (
            f"In a clone with dvc.lock DVC skips {skipped} stages, whose results are in git: "
            f"{cloned.seconds:.1f} s in all."
        ),
        f"A second `dvc repro` there, with nothing to do, takes {idle.seconds:.1f} s.",
    ]
    return Report(("stage", "seconds", "imports", "the rest"), rows, findings, PACKAGES)


def against_former() -> Report:
    """Cold runs of the last commit and of `FORMER`, in turn, each in a clone of its own."""
    runs: dict[str, list[Run]] = {"HEAD": [], FORMER: []}
    with tempfile.TemporaryDirectory() as work:
        for number in range(ROUNDS):
            # The one that is first in one round is last in the next.
            for revision in list(runs)[:: -1 if number % 2 else 1]:
                folder = Path(work) / f"{revision}-{number}"
                project = clone(folder / "project", lock=False, revision=revision)
                runs[revision].append(repro(project, folder / "notes"))
                shutil.rmtree(folder)
    seconds = {revision: median(run.seconds for run in own) for revision, own in runs.items()}
    rows = []
    for revision, own in runs.items():
        stages = [sum(wall for wall, _ in run.stages.values()) for run in own]
        rows.append(
            (
                "this commit" if revision == "HEAD" else f"commit {revision}",
                str(len(own[0].stages)),
                f"{seconds[revision]:.1f}",
                f"{median(stages):.1f}",
                f"{seconds[revision] / seconds[FORMER]:.2f}",
            )
        )
    ratio = required(seconds["HEAD"] / seconds[FORMER], TIMES_FORMER)
    findings = [f"Times the former: {ratio}; medians of {ROUNDS} rounds."]
    header = ("cold run of", "stages", "seconds", "within stages", "times the former")
    return Report(header, rows, findings, PACKAGES)


def second_experiment() -> Report:
    """An experiment in a fresh clone, then one that changes a param of a model as well."""
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        project = clone(folder / "project", lock=True)
        runs = [
            repro(project, folder / str(number), ("exp", "run", *settings))
            for number, settings in enumerate(EXPERIMENTS)
        ]
    rows = [
        (
            f"`dvc exp run {' '.join(settings)}`",
            str(len(run.stages)),
            f"{run.seconds:.1f}",
            f"{run.seconds / runs[0].seconds:.2f}",
        )
        for settings, run in zip(EXPERIMENTS, runs, strict=True)
    ]
    findings = ["Both in one fresh clone, whose cache is empty before the first."]
    header = ("experiment", "stages run", "seconds", "times the first")
    return Report(header, rows, findings, PACKAGES)
