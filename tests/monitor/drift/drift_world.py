"""A small project with a trained model, its dataset in a real DVC cache, and a log of forecasts."""

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import orjson
import polars as pl
import sqlalchemy as sa
import yaml

from monitor.settings import Settings
from predictions.schema import prediction_logs
from stages.common import tables
from stages.monitor_params import DriftParams, MonitorParams
from tests.predictions.rows import row
from versions.repository import lock

ROOT = Path(__file__).parents[3]
SYMBOLS = ("AAA", "BBB")
FEATURES = ("slow", "quick", "sum", "level", "constant")
START = date(2000, 1, 3)

PIPELINE = """\
stages:
  dataset:
    cmd: python -m none
    outs: [data/datasets/short]
  evaluate:
    cmd: python -m none
    outs: [models/short/model.onnx, models/short/forecasts.parquet]
"""


def features(sessions: int, seed: int = 0) -> pl.DataFrame:
    """`symbol, date` and features of which one is nearly a sum of others and one is constant."""
    random = np.random.default_rng(seed)
    count = len(SYMBOLS)
    noise = random.normal(size=(4, sessions + 200, count))
    slow = np.zeros((sessions + 200, count))
    for at in range(1, sessions + 200):
        slow[at] = 0.9 * slow[at - 1] + noise[0, at]
    slow, noise = slow[200:], noise[:, 200:]
    quick = noise[1]
    columns = {
        "slow": slow,
        "quick": quick,
        "sum": slow + quick + 0.1 * noise[2],
        "level": noise[3],
        "constant": np.full_like(slow, 0.5),
    }
    days = [START + timedelta(number) for number in range(sessions)]
    return pl.DataFrame(
        {
            "symbol": list(SYMBOLS) * sessions,
            "date": pl.Series(days).repeat_by(count).explode(),
            **{name: values.ravel().astype(np.float32) for name, values in columns.items()},
        }
    )


def write(folder: Path, rows: pl.DataFrame, model: bytes = b"model") -> str:
    """Put a dataset, a model and its forecasts where the pipeline would; returns the model's md5.

    `dvc.yaml` is there already, or is written; DVC caches the files and writes `dvc.lock`.
    """
    (folder / "dvc.yaml").write_text(PIPELINE, encoding="utf-8")
    dataset = rows.with_columns(
        target_date=pl.col("date"), close=pl.lit(1.0), target=pl.lit(0.0)
    ).sort("symbol", "date")
    part = pl.col("date").rank("dense") / rows["date"].n_unique()
    parts = {
        "train": part <= 0.8,
        "purged": part.is_between(0.8, 0.81, "right"),
        "test": part > 0.81,
    }
    for name, own in parts.items():
        path = folder / "data" / "datasets" / "short" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        tables.write(dataset.filter(own), path)
    forecasts = dataset.filter(parts["test"]).with_columns(
        forecast=pl.lit(0.001),
        lower=pl.lit(-0.03),
        upper=pl.lit(0.03),
        probability=0.5 + 0.01 * pl.col("level").cast(pl.Float64),
        scale=pl.lit(0.02),
    )
    (folder / "models" / "short").mkdir(parents=True, exist_ok=True)
    tables.write(forecasts, folder / "models" / "short" / "forecasts.parquet")
    (folder / "models" / "short" / "model.onnx").write_bytes(model)
    run(folder, sys.executable, "-m", "dvc", "commit", "--quiet", "--force")
    return lock.read(folder / "dvc.lock").outs["models/short/model.onnx"].md5


def repository(folder: Path) -> None:
    """An empty repository of git and DVC."""
    run(folder, "git", "init", "--quiet", "--initial-branch=main")
    run(folder, "git", "config", "user.email", "a@b.c")
    run(folder, "git", "config", "user.name", "A")
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / "config").write_text("[core]\n    analytics = false\n", encoding="utf-8")
    (folder / ".gitignore").write_text("/.dvc/cache\n/.dvc/tmp\n/data\n/models\n/var\n")


def commit(folder: Path) -> str:
    """Commit everything; returns the commit."""
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--message=c")
    return run(folder, "git", "rev-parse", "HEAD").strip()


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def add(engine: sa.Engine, rows: pl.DataFrame, model_md5: str, **values: object) -> None:
    """Log a forecast of each row of features."""
    names = [name for name in rows.columns if name not in ("symbol", "date")]
    logged = [
        row(
            symbol=each["symbol"],
            as_of=each["date"],
            target_date=each["date"] + timedelta(1),
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
            model_md5=model_md5,
            inputs=orjson.dumps({name: each[name] for name in names}).decode(),
        )
        | values
        for each in rows.iter_rows(named=True)
    ]
    with engine.begin() as connection:
        connection.execute(sa.insert(prediction_logs), logged)


def drift_params(**values: object) -> DriftParams:
    defaults = {"window": 60, "false_alarms": 0.05, "resamples": 200, "seed": 0}
    return DriftParams(**{**defaults, **values})  # type: ignore[arg-type]


def thresholds(**values: object) -> MonitorParams:
    """Those of the project, with another section `drift`."""
    section = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["monitor"]
    return MonitorParams.model_validate(section).model_copy(
        update={"drift": drift_params(**values)}
    )


def monitor(folder: Path) -> Settings:
    return Settings(var=folder / "var", now=datetime(2026, 1, 1, tzinfo=UTC))
