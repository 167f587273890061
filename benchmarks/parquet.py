"""Clean and features against reading and writing the same tables as Parquet.

Both read every raw file, write the clean table, read it and write the feature table, in processes
of their own whose start and imports count.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.panel import Panel, project
from benchmarks.processes import python
from benchmarks.report import Report, required
from stages.paths import CLEAN_DAILY, FEATURES_DAILY

STAGES = ("clean", "features")
TIMES = 3.0
ROUNDS = 2

_AS_ONE = "from stages import clean, features, run; run.run(clean.main); run.run(features.main)"

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


def measure(panels: Sequence[Panel]) -> Report:
    """Time the stages and their peer on panels."""
    rows, findings = [], []
    for panel in panels:
        with tempfile.TemporaryDirectory() as work:
            folder = Path(work) / "project"
            project(folder, panel)
            for stage in ("ingest", *STAGES):
                python(["-m", f"stages.{stage}"], folder)
            races = {
                "clean": (_stage("clean"), _copy("clean")),
                "features": (_stage("features"), _copy("features")),
                "both as one process": (_both, _copy(*STAGES)),
            }
            best = {
                name: [min(run(folder) for _ in range(ROUNDS)) for run in pair]
                for name, pair in races.items()
            }
            written = [
                (folder / path).stat().st_size / 1e6 for path in (CLEAN_DAILY, FEATURES_DAILY)
            ]
        two = [sum(best[name][side] for name in STAGES) for side in (0, 1)]
        best = {**{name: best.pop(name) for name in STAGES}, "clean, then features": two, **best}
        for name, (ours, peer) in best.items():
            figures = (f"{ours:.2f}", f"{peer:.2f}", f"{ours / peer:.2f}")
            rows.append((f"{panel.bars:,}", name, *figures))
        for name in list(best)[len(STAGES) :]:
            ratio = best[name][0] / best[name][1]
            findings.append(
                f"{panel.bars:,} bars, {name}: {ratio:.2f} times the reading and writing; "
                f"{required(ratio, TIMES)}."
            )
        findings.append(
            f"{panel.bars:,} bars make {written[0]:,.0f} MB of clean and {written[1]:,.0f} MB of "
            "feature table."
        )
    return Report(
        ("bars", "processes", "stages, s", "Parquet only, s", "times"),
        rows,
        findings,
        ("polars", "pyarrow", "numpy", "coreforecast"),
        texts=2,
    )
