"""Projects to train and evaluate in: the real sample through the real stages, and made-up rows.

The models are smaller than those of the project, so that a test is quick, and what is served is
what was evaluated (no refit); everything else is as `params.yaml` has it.
"""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import chdir
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt
import polars as pl
import yaml

from stages.common import tables
from stages.common.paths import CANDIDATES, DATASETS, METRICS, MODELS, REFITTED, SESSIONS

ROOT = Path(__file__).parents[1]

HORIZONS = {"short": 1, "long": 63}

SMALL_MODELS: dict[str, dict[str, Any]] = {
    "ridge": {"alpha": 1.0},
    "random_forest": {"n_estimators": 8, "min_leaf": 0.01},
    "xgboost": {"n_estimators": 20, "max_depth": 3, "min_leaf": 0.01},
    "lightgbm": {"n_estimators": 20, "num_leaves": 8, "min_leaf": 0.01},
}


def stage(folder: Path, name: str, *arguments: str) -> None:
    """Run a stage in a project as `python -m stages.<name>` does, in this process."""
    main: Callable[[], None] = importlib.import_module(f"stages.{name}").main
    with chdir(folder), mock.patch.object(sys, "argv", [name, *arguments]):
        main()


def write_params(folder: Path, **sections: Mapping[str, Any]) -> None:
    """The project's `params.yaml` with these keys of its sections changed.

    `models` and `horizons` are replaced as a whole.
    """
    content = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    content["models"] = SMALL_MODELS
    content["train"]["refit"] = False
    for name, changes in sections.items():
        content[name] = changes if name in {"models", "horizons"} else content[name] | changes
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def prepare(folder: Path) -> None:
    """Run the real sample up to its datasets.

    Its candidates' skill may be chance; a combination is served all the same, to be tested.
    """
    write_params(folder, evaluate={"significance": 1.0})
    (folder / "data" / "inbox").mkdir(parents=True)
    for name in ("params", "ingest", "clean", "features", "latest"):
        stage(folder, name)
    for horizon in HORIZONS:
        stage(folder, "dataset", horizon)


def train(folder: Path) -> None:
    """Train every candidate of every horizon of a prepared project, and evaluate them."""
    for horizon in HORIZONS:
        for name in SMALL_MODELS:
            stage(folder, "train", horizon, name)
        stage(folder, "evaluate", horizon)


def outputs(folder: Path, *parts: Path) -> dict[str, bytes]:
    """Every file below some folders (by default all that train and evaluate make), as bytes."""
    tops = parts or (CANDIDATES, REFITTED, *(MODELS / name for name in HORIZONS), METRICS)
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for top in tops
        for path in sorted((folder / top).rglob("*"))
        if path.is_file()
    }


Target = Callable[[npt.NDArray[np.float32], np.random.Generator], npt.NDArray[np.floating[Any]]]


def made_up(
    symbols: Mapping[str, int] | list[str],
    sessions: int,
    target: Target,
    *,
    features: int = 3,
    horizon: int = 1,
    first: date = date(2001, 1, 1),
    seed: int = 0,
) -> pl.DataFrame:
    """Dataset rows with normal features `mom_0, mom_1, ...`, which models see; one session a day.

    Args:
        symbols: each with its number of (newest) sessions, or all with as many.
        sessions: how many there are in all.
        target: from the features of all rows, (rows, features), to the targets, (rows,).
        features: how many.
        horizon: sessions up to `target_date`.
        first: the first session.
        seed: of everything random.
    """
    rng = np.random.default_rng(seed)
    counts = symbols if isinstance(symbols, Mapping) else dict.fromkeys(symbols, sessions)
    days = [first + timedelta(days=i) for i in range(sessions + horizon)]
    rows = pl.DataFrame(
        [
            (symbol, days[i], days[i + horizon], 100.0)
            for symbol, count in sorted(counts.items())
            for i in range(sessions - count, sessions)
        ],
        schema=["symbol", "date", "target_date", "close"],
        orient="row",
    )
    x = rng.normal(size=(rows.height, features)).astype(np.float32)
    names = [f"mom_{i}" for i in range(features)]
    return rows.with_columns(
        pl.Series("target", target(x, rng), dtype=pl.Float64),
        *(pl.Series(name, x[:, i]) for i, name in enumerate(names)),
    ).select(list(tables.dataset_contract(names)))


def write_dataset(folder: Path, horizon: str, rows: pl.DataFrame, held_out: date) -> None:
    """Split made-up rows in time, purged, and write the files that train and evaluate read.

    The last row of each symbol becomes its newest bar, whose target is not known.
    """
    target = DATASETS / horizon
    newest = rows.group_by("symbol", maintain_order=True).last()
    newest = newest.with_columns(
        target=pl.lit(None, pl.Float64), target_date=pl.lit(None, pl.Date)
    ).select(rows.columns)
    known = rows.join(newest.select("symbol", "date"), on=["symbol", "date"], how="anti")
    parts = {
        "train": known.filter(pl.col("target_date") < held_out),
        "purged": known.filter(pl.col("target_date") >= held_out, pl.col("date") < held_out),
        "test": known.filter(pl.col("date") >= held_out),
        "newest": newest,
    }
    for name, part in parts.items():
        tables.write(part.sort("symbol", "date"), folder / target / f"{name}.parquet")


def write_sessions(folder: Path, after: date, count: int = 400) -> None:
    """The coming sessions as latest writes them: every day is one."""
    days = [str(after + timedelta(days=i + 1)) for i in range(count)]
    (folder / SESSIONS).parent.mkdir(parents=True, exist_ok=True)
    content = {"calendar": "24/7", "after": str(after), "sessions": days}
    (folder / SESSIONS).write_text(json.dumps(content), encoding="utf-8")


def python(folder: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code that can import the stages, in a project and in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
