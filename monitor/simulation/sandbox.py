"""A copy of the project in a folder of its own, with bars that the simulation gives.

It has the code and the params of the checkout as they stand, its own git history, its own DVC
cache, and a folder as DVC remote. Nothing outside the folder is changed.
"""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from monitor import child_process
from monitor.settings import MonitorError
from monitor.simulation import faulty_bars
from monitor.simulation.plan import Plan
from stages.common import tables
from stages.common.paths import CLEAN_DAILY, CLEAN_MARKET, METRICS
from stages.common.sections import PARAMS_FILE
from versions.repository import git
from versions.repository.lock import LOCK_FILE

INBOX = Path("data/inbox")

LEFT_OUT = ("tests", "benchmarks", "dashboard", "docs", ".github", ".ci")
"""Folders that nothing here needs."""

SMALL: Mapping[str, Any] = {
    "folds": 2,
    "models": ("ridge",),
    "start": "2005-01-03",
    "cooldown_days": 150,
}
"""What makes a world small: its folds, its models, its first session; and its cooldown, so that a
drift that lasts is not answered by a training every period."""

OWN = ("SERVE_", "MONITOR_", "DATABASE_URL")
"""Variables that would lead the simulation to the log, the server or the alerts of the user."""


@dataclass(frozen=True)
class Sandbox:
    """The copy.

    Attributes:
        folder: of the project in it.
    """

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a command in it."""
        variables = {
            name: value
            for name, value in child_process.environment().items()
            if not name.startswith(OWN)
        }
        variables.pop("PYTHONPATH", None)
        return {**variables, "DVC_NO_ANALYTICS": "true", "GX_ANALYTICS_ENABLED": "false"}

    def python(self, *words: str) -> str:
        """Run a module in it; returns what it printed.

        Raises:
            MonitorError: it failed.
        """
        done = subprocess.run(  # noqa: S603  # no shell
            [sys.executable, "-m", *words],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise MonitorError(f"{' '.join(words[:2])}: {child_process.reason(done.stdout)}")
        return done.stdout

    def commit(self, message: str) -> None:
        """Commit all that has changed."""
        git.git("add", "--all", folder=self.folder)
        git.git("commit", "--quiet", "--no-verify", "--message", message, folder=self.folder)


def make(project: Path, folder: Path, plan: Plan) -> tuple[Sandbox, pl.DataFrame]:
    """Copy a project, and take its bars.

    Args:
        project: the root of the checkout.
        folder: an empty or missing folder.
        plan: of the simulation.

    Returns:
        The copy, whose source is its inbox, which is empty; and the bars, as `adjusted` gives
        them. Market series are in the inbox already.

    Raises:
        MonitorError: the folder is not empty, or the pipeline cannot give the bars.
    """
    if folder.exists() and any(folder.iterdir()):
        raise MonitorError(f"{folder}: is not empty; choose another --folder, or remove it")
    root = folder / "project"
    _copy(project, root)
    sandbox = Sandbox(root)
    git.git("init", "--quiet", "--initial-branch=main", folder=root)
    for key, value in (
        ("user.name", "Simulation"),
        ("user.email", "simulation@example.org"),
        ("commit.gpgsign", "false"),
        ("tag.gpgsign", "false"),
    ):
        git.git("config", key, value, folder=root)
    if not (root / CLEAN_DAILY).exists():
        sandbox.python("dvc", "repro", "clean")
    params = yaml.safe_load((root / PARAMS_FILE).read_text(encoding="utf-8"))
    bars = faulty_bars.adjusted(tables.read(root / CLEAN_DAILY))
    market = params["data"]["market"]
    shutil.rmtree(root / INBOX, ignore_errors=True)
    if market:
        series = tables.read(root / CLEAN_MARKET).filter(pl.col("symbol").is_in(market))
        levels = params["data"]["levels"]
        prices = series.filter(~pl.col("symbol").is_in(levels))
        numbers = series.filter(pl.col("symbol").is_in(levels))
        columns = ["symbol", "date", *tables.PRICES, "volume"]
        rows = pl.concat([faulty_bars.adjusted(prices), numbers.select(columns)])
        tables.write(rows, root / INBOX / "market" / "market.parquet")
    _adapt(root, params, plan)
    sandbox.python("dvc", "remote", "add", "--local", "--default", "folder", str(folder / "remote"))
    return sandbox, bars


def _copy(project: Path, root: Path) -> None:
    listed = git.git("ls-files", "-z", "--cached", "--others", "--exclude-standard", folder=project)
    for name in filter(None, listed.split("\0")):
        path = project / name
        if path.is_file() and not any(Path(name).is_relative_to(each) for each in LEFT_OUT):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, root / name)
    for path in (CLEAN_DAILY, CLEAN_MARKET):
        if (project / path).exists():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(project / path, root / path)


def _adapt(root: Path, params: dict[str, Any], plan: Plan) -> None:
    """Write the params of the simulation, and remove what belongs to those of the checkout."""
    columns = ("date", "open", "high", "low", "close", "volume")
    params["data"] |= {
        "source": "parquet",
        "path": str(INBOX),
        "symbol_levels": [],
        "as_of": str(plan.first),
    }
    named = {name: name for name in (*columns, "symbol")}
    params["data"]["sources"] = {**params["data"]["sources"], "parquet": {"columns": named}}
    params["clean"]["adjustment"] = "none"
    if any(name.startswith("turning-challenger") for name in plan.faults):
        params["data"]["symbol_levels"] = [faulty_bars.SENTIMENT, faulty_bars.IMPLIED]
    if plan.small:
        shortest = min(params["horizons"], key=params["horizons"].__getitem__)
        params["horizons"] = {shortest: params["horizons"][shortest]}
        params["models"] = {
            name: value for name, value in params["models"].items() if name in SMALL["models"]
        } or params["models"]
        params["train"]["folds"] = SMALL["folds"]
        params["data"]["start"] = SMALL["start"]
        params["monitor"]["retraining"]["cooldown_days"] = SMALL["cooldown_days"]
        # What a search may try of other models.
        params.pop("search", None)
    text = yaml.safe_dump(params, sort_keys=False)
    (root / PARAMS_FILE).write_text(text, encoding="utf-8")
    (root / LOCK_FILE).unlink(missing_ok=True)
    shutil.rmtree(root / METRICS, ignore_errors=True)
    shutil.rmtree(root / "decisions", ignore_errors=True)


def stock(root: Path, bars: pl.DataFrame, levels: Mapping[str, pl.DataFrame]) -> bool:
    """Put bars and series into the inbox; returns whether that changed it."""
    changed = False
    for path, frame in (
        (INBOX / "daily" / "bars.parquet", bars),
        *((INBOX / "levels" / f"{name}.parquet", frame) for name, frame in levels.items()),
    ):
        if not (root / path).exists() or not tables.read(root / path).equals(frame):
            tables.write(frame, root / path)
            changed = True
    return changed


def sessions(bars: pl.DataFrame) -> list[date]:
    """The sessions that have a bar, in order."""
    return bars["date"].unique().sort().to_list()
