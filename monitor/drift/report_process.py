"""Runs Evidently in a process of its own, with a time limit."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from monitor.settings import MonitorError
from stages.common import tables

ROOT = Path(__file__).parents[2]
"""The folder from which `python -m monitor` finds its modules."""

TIMEOUT = 300.0
"""Seconds after which Evidently is ended: the import alone takes 5 to 20 on a busy machine."""

MOST = 20_000
"""Rows of a table that Evidently gets at most."""


def write(
    reference: pl.DataFrame,
    current: pl.DataFrame,
    thresholds: Mapping[str, float],
    html: Path,
    timeout: float = TIMEOUT,
) -> dict[str, float]:
    """Let Evidently compare two tables and write its report.

    Args:
        reference, current: with the columns that `thresholds` names.
        thresholds: a column whose distance is greater counts as drifted.
        html: where the report goes; it loads nothing from elsewhere.
        timeout: seconds.

    Returns:
        Evidently's distance of each column.

    Raises:
        MonitorError: the process failed, was killed or took too long.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        columns = list(thresholds)
        for file, frame in (("reference", reference), ("current", current)):
            some = frame if frame.height <= MOST else frame.sample(MOST, seed=0)
            tables.write(some.select(columns), folder / f"{file}.parquet")
        (folder / "thresholds.json").write_text(json.dumps(dict(thresholds)), encoding="utf-8")
        _run(folder, timeout)
        with tables.replacing(html) as partial:
            partial.write_bytes((folder / "report.html").read_bytes())
        scores: dict[str, float] = json.loads((folder / "scores.json").read_bytes())
        return scores


def _run(folder: Path, timeout: float) -> None:
    try:
        done = subprocess.run(  # noqa: S603  # no shell
            [sys.executable, "-m", "monitor.drift.evidently_report", str(folder)],
            cwd=ROOT,
            env={**os.environ, "DO_NOT_TRACK": "1"},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise MonitorError(
            f"Evidently took more than {timeout:g} s and was ended; the next check tries again"
        ) from None
    if done.returncode < 0:
        raise MonitorError(
            f"Evidently was killed by signal {-done.returncode}, as happens where memory is short; "
            "the next check tries again"
        )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise MonitorError(f"Evidently failed: {last}")
