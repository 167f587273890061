"""Wall time and peak memory of every stage, each a process of its own, on a large panel."""

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.panel import Panel, project
from benchmarks.processes import python
from benchmarks.report import Report, required

LIMIT = 4.0
"""GB, of 10^9 bytes."""

LIGHT: Mapping[str, Mapping[str, Any]] = {
    "ridge": {},
    "random_forest": {"n_estimators": 2, "n_jobs": os.cpu_count() or 1},
    "xgboost": {"n_estimators": 10},
    "lightgbm": {"n_estimators": 10},
}
"""Fewer trees, so that it takes minutes: what a tree holds is small beside what it learns from."""

SECTIONS: Mapping[str, Mapping[str, Any]] = {"horizons": {"short": 1}, "models": LIGHT}

STAGES = (
    ("ingest",),
    ("clean",),
    ("features",),
    ("validate", "tables"),
    ("latest",),
    ("dataset", "short"),
    ("validate", "datasets"),
    *(("train", "short", model) for model in LIGHT),
    ("evaluate", "short"),
)


def measure(panel: Panel) -> Report:
    """Run the stages one after another."""
    peaks, rows = {}, []
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "project"
        project(folder, panel, SECTIONS)
        for module, *arguments in STAGES:
            usage = python(["-m", f"stages.{module}", *arguments], folder)
            name = " ".join((module, *arguments))
            peaks[name] = usage.peak / 1e9
            rows.append((name, f"{usage.seconds:.1f}", f"{peaks[name]:.2f}"))
            sys.stderr.write(f"memory: {' '.join(rows[-1])}\n")
    highest = max(peaks, key=peaks.__getitem__)
    size = f"{panel.symbols:,} symbols, {panel.sessions:,} sessions each"
    findings = [
        f"The panel has {panel.bars:,} bars: {size}.",
        f"Highest: {highest}, {peaks[highest]:.2f} GB; {required(peaks[highest], LIMIT)}.",
    ]
    packages = ("polars", "pyarrow", "numpy", "scikit-learn", "xgboost-cpu", "lightgbm")
    return Report(("stage", "seconds", "peak, GB"), rows, findings, packages)
