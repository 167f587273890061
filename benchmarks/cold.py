"""A cold `dvc repro` on the sample, in a fresh clone: where its time goes, stage by stage.

A `python` ahead of the real one on PATH notes when each stage began and ended. What is not within
a stage is DVC's. In a second clone the interpreters report their imports.
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.panel import ROOT
from benchmarks.processes import environment
from benchmarks.report import Report

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

_IMPORTS = re.compile(r"^import time: +(\d+|self \[us\]) \|.*\n", re.MULTILINE)


@dataclass(frozen=True)
class Run:
    """One `dvc repro`.

    Attributes:
        seconds: wall time of it all.
        imports: seconds that DVC's own process imported; 0 where not asked for.
        stages: by command line, in order: wall seconds and seconds of imports.
    """

    seconds: float
    imports: float
    stages: dict[str, tuple[float, float]]


def clone(folder: Path, *, lock: bool) -> Path:
    """A fresh clone of the last commit, its own modules compiled as those of .venv are.

    Without dvc.lock nothing has ever run there; with it DVC leaves out a stage whose results are
    in git.
    """
    subprocess.run(["git", "clone", "--quiet", "--no-local", ROOT, folder], check=True)
    subprocess.run([sys.executable, "-m", "compileall", "-q", "stages"], cwd=folder, check=True)
    if not lock:
        (folder / "dvc.lock").unlink(missing_ok=True)
    return folder


def repro(folder: Path, notes: Path, *, imports: bool = False) -> Run:
    """Run `dvc repro` in a project.

    Args:
        folder: the root of the project.
        notes: an empty folder outside of it.
        imports: whether to ask the interpreters for the time of their imports, which costs time.

    Raises:
        SystemExit: it failed; what it printed follows.
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
        [sys.executable, "-m", "dvc", "repro"],
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
        said = _IMPORTS.sub("", "".join([done.stdout, *reports.values(), done.stderr]))
        raise SystemExit(f"dvc repro failed:\n{said}")
    spans = notes / "spans"
    stages = {}
    for line in spans.read_text(encoding="utf-8").splitlines() if spans.exists() else ():
        began, ended, command = line.split(" ", 2)
        wall = (int(ended) - int(began)) / 1e9
        stages[command.removeprefix("-m stages.")] = (wall, _imported(reports.get(began, "")))
    return Run(seconds, _imported(done.stderr), stages)


def _imported(report: str) -> float:
    """Seconds of all imports in a report of `-X importtime`: the sum of what each took itself."""
    return sum(int(own) for own in _IMPORTS.findall(report) if own.isdigit()) / 1e6


def measure() -> Report:
    """Runs in three clones: two where nothing has ever run, one as it comes, that one again."""
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        cold = repro(clone(folder / "cold", lock=False), folder / "1")
        profiled = repro(clone(folder / "profiled", lock=False), folder / "2", imports=True)
        cloned = clone(folder / "cloned", lock=True)
        return report(cold, profiled, repro(cloned, folder / "3"), repro(cloned, folder / "4"))


def report(cold: Run, profiled: Run, cloned: Run, idle: Run) -> Report:
    """Where the time of the cold run went; which share of it are imports is from the profiled."""
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
    left_out = len(cold.stages) - len(cloned.stages)
    findings = [
        f"{len(cold.stages)} stages take {working:.1f} s, {share:.0%} of them imports.",
        f"DVC itself takes {dvc:.1f} s.",
        (
            f"In a clone as it comes, with dvc.lock, {left_out} stages are left out, since their "
            f"results are in git: {cloned.seconds:.1f} s in all."
        ),
        f"A second `dvc repro` there, with nothing to do, takes {idle.seconds:.1f} s.",
    ]
    packages = ("dvc", "polars", "great-expectations", "scikit-learn", "xgboost-cpu", "lightgbm")
    return Report(("stage", "seconds", "imports", "the rest"), rows, findings, packages)
