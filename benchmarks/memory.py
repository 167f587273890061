"""Wall time and peak memory of every stage, each a process of its own, on a large panel."""

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.panel import Panel, project
from benchmarks.processes import Usage, python
from benchmarks.report import Report, required

LIMIT = 4.0
"""GB, of 10^9 bytes."""

LIGHT: Mapping[str, Mapping[str, Any]] = {
    "ridge": {},
    "random_forest": {"n_estimators": 2, "n_jobs": os.cpu_count() or 1},
    "xgboost": {"n_estimators": 10},
    "lightgbm": {"n_estimators": 10},
}
"""Fewer trees, so that it takes minutes: a tree is small beside the rows that it is fitted to."""

SECTIONS: Mapping[str, Mapping[str, Any]] = {"horizons": {"short": 1}, "models": LIGHT}

STAGES = (
    ("params",),
    ("ingest",),
    ("clean",),
    ("features",),
    ("validate",),
    ("latest",),
    ("dataset", "short"),
    ("validate_datasets",),
    *(("train", "short", model) for model in LIGHT),
    ("evaluate", "short"),
    ("explain", "short"),
    ("backtest", "short"),
)


HEADER = ("stage", "seconds", "peak, GB")
PACKAGES = ("polars", "pyarrow", "numpy")

TO_DATASETS = (
    ("params",),
    ("ingest",),
    ("clean",),
    ("features",),
    ("validate",),
    ("dataset", "short"),
)
"""The stages from raw bars to a dataset, and the one before them."""

TO_DATASETS_LIMIT = 1.0
"""GB, of 10^9 bytes."""

SHARE = 0.33
"""Of the time of `TO_DATASETS`, for `validate` at most."""


def run(panel: Panel, stages: Sequence[Sequence[str]]) -> dict[str, Usage]:
    """Run stages on a panel one after another; gives the usage of each by its command line."""
    usages = {}
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "project"
        project(folder, panel, SECTIONS)
        for module, *arguments in stages:
            name = " ".join((module, *arguments))
            usages[name] = python(["-m", f"stages.{module}", *arguments], folder)
            sys.stderr.write(f"memory: {' '.join(row(name, usages[name]))}\n")
    return usages


def row(name: str, usage: Usage) -> tuple[str, str, str]:
    """The row of one stage in a table."""
    return name, f"{usage.seconds:.1f}", f"{usage.peak / 1e9:.2f}"


def measure(panel: Panel) -> Report:
    """Run all stages."""
    usages = run(panel, STAGES)
    findings = [size(panel), highest(usages, LIMIT)]
    packages = (*PACKAGES, "scikit-learn", "xgboost-cpu", "lightgbm")
    return Report(HEADER, [row(*item) for item in usages.items()], findings, packages)


def to_datasets(panel: Panel) -> Report:
    """Run the stages from raw bars to a dataset."""
    usages = run(panel, TO_DATASETS)
    seconds = sum(usage.seconds for usage in usages.values())
    validation = usages.get("validate", Usage(0, 0, "")).seconds / seconds
    rows = [(*row(name, usage), f"{usage.seconds / seconds:.0%}") for name, usage in usages.items()]
    peak = max(usage.peak for usage in usages.values())
    rows.append(("in all", f"{seconds:.1f}", f"{peak / 1e9:.2f}", "100%"))
    findings = [
        size(panel),
        highest(usages, TO_DATASETS_LIMIT),
        f"`validate`: {validation:.2f} of the time; {required(validation, SHARE)}.",
    ]
    return Report((*HEADER, "of the time"), rows, findings, (*PACKAGES, "great-expectations"))


def size(panel: Panel) -> str:
    """How many bars a panel has."""
    symbols = f"{panel.symbols:,} symbols, {panel.sessions:,} sessions each"
    return f"The panel has {panel.bars:,} bars: {symbols}."


def highest(usages: Mapping[str, Usage], limit: float) -> str:
    """The stage with the highest peak, and whether it keeps to a limit in GB."""
    name = max(usages, key=lambda name: usages[name].peak)
    peak = usages[name].peak / 1e9
    return f"Highest: {name}, {peak:.2f} GB; {required(peak, limit)}."
