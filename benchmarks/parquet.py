"""Clean and features against reading and writing the same tables as Parquet.

Both read every raw file, write the clean table, read it and write the feature table, in processes
of their own whose start and imports count.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.panel import Panel, project
from benchmarks.processes import python
from benchmarks.report import Report, required
from stages.common.paths import CLEAN_DAILY, FEATURES_DAILY

STAGES = ("clean", "features")
TABLES = (CLEAN_DAILY, FEATURES_DAILY)
BOUND = ("clean, then features", "both as one process")
TIMES = 3.0
ROUNDS = 2

_AS_ONE = (
    "from stages import clean, features; from stages.common.running import run; "
    "run(clean.main); run(features.main)"
)

Timed = Callable[[Path], float]
"""Runs in a project's folder; returns seconds."""


def _stage(name: str) -> Timed:
    return lambda folder: python(["-m", f"stages.{name}"], folder).seconds


def _both(folder: Path) -> float:
    return python(["-c", _AS_ONE], folder).seconds


def _copy(*steps: str) -> Timed:
    def run(folder: Path) -> float:
        usage = python(["-m", "benchmarks.copy_tables", *steps], folder)
        return usage.seconds - float(usage.output)

    return run


RACES: Mapping[str, tuple[Timed, Timed]] = {
    "clean": (_stage("clean"), _copy("clean")),
    "features": (_stage("features"), _copy("features")),
    "both as one process": (_both, _copy(*STAGES)),
}
"""The stages and their peer."""


def race(folder: Path) -> dict[str, tuple[float, float]]:
    """The best time of each, in seconds; they take turns."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in RACES}
    for _ in range(ROUNDS):
        for name, (stages, peer) in RACES.items():
            times[name].append((stages(folder), peer(folder)))
    return {
        name: (min(a for a, _ in both), min(b for _, b in both)) for name, both in times.items()
    }


def measure(panels: Sequence[Panel]) -> Report:
    """Time the stages and their peer on panels."""
    rows, findings = [], []
    for panel in panels:
        with tempfile.TemporaryDirectory() as work:
            folder = Path(work) / "project"
            project(folder, panel)
            for stage in ("ingest", *STAGES):
                python(["-m", f"stages.{stage}"], folder)
            best = race(folder)
            clean, features = ((folder / path).stat().st_size / 1e6 for path in TABLES)
        first, second = (best[name] for name in STAGES)
        best["clean, then features"] = (first[0] + second[0], first[1] + second[1])
        for name in (*STAGES, *BOUND):
            ours, peer = best[name]
            figures = (f"{ours:.2f}", f"{peer:.2f}", f"{ours / peer:.2f}")
            rows.append((f"{panel.bars:,}", name, *figures))
        findings += [
            f"{panel.bars:,} bars, {name}: {required(best[name][0] / best[name][1], TIMES)}."
            for name in BOUND
        ]
        findings.append(
            f"{panel.bars:,} bars make {clean:,.0f} MB of clean and {features:,.0f} MB of features."
        )
    return Report(
        ("bars", "processes", "stages, s", "Parquet only, s", "times"),
        rows,
        findings,
        ("polars", "pyarrow", "numpy", "coreforecast"),
        texts=2,
    )
