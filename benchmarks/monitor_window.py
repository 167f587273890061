"""What the monitor does with a log of forecasts, by the number of forecasts."""

import sqlite3
import sys
import tempfile
from collections.abc import Mapping
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.monitor_actions import ACTIONS, FEATURES, HORIZON
from benchmarks.processes import Usage, python
from benchmarks.report import Report, required
from monitor.settings import Settings
from predictions import engine as engines
from predictions import migrate
from predictions.schema import prediction_logs
from stages.common import tables
from stages.common.paths import CLEAN_DAILY

SIZES = (1_000, 100_000, 1_000_000)
SYMBOLS = 50
START = date(2010, 1, 1)

CHECKED = 100_000
"""Forecasts for which there are limits."""
SECONDS = 30.0
PEAK = 1.0
"""GB, of 10^9 bytes."""


def measure(sizes: tuple[int, ...] = SIZES) -> Report:
    """Fill a log of each size, and do each action with it."""
    lines, usages = [], {}
    for size in sizes:
        with tempfile.TemporaryDirectory() as work:
            folder = Path(work)
            fill(folder, size)
            for name, (text, _) in ACTIONS.items():
                usage = python(["-m", "benchmarks.monitor_actions", name, "."], folder)
                usages[size, name] = usage
                lines.append((f"{size:,}", text, f"{usage.seconds:.1f}", f"{usage.peak / 1e9:.2f}"))
                sys.stderr.write(f"monitor: {' '.join(lines[-1])}\n")
    header = ("forecasts", "action", "seconds", "peak, GB")
    return Report(header, lines, findings(usages), ("polars", "numpy", "SQLAlchemy"), texts=2)


def findings(usages: Mapping[tuple[int, str], Usage]) -> list[str]:
    """The limits, and whether they are met."""
    limited = [
        usage for (size, name), usage in usages.items() if size == CHECKED and name != "labels"
    ]
    if not limited:
        return []
    seconds = sum(usage.seconds for usage in limited)
    peak = max(usage.peak for usage in limited) / 1e9
    time = f"{required(seconds, SECONDS)}, {seconds:.1f} s"
    memory = f"{required(peak, PEAK)}, {peak:.2f} GB"
    subject = f"{CHECKED:,} forecasts"
    return [f"{subject}, all but their first labels: {time}.", f"{subject}: {memory}."]


def fill(folder: Path, size: int) -> None:
    """Make a log of forecasts, and the bars of their sessions.

    Args:
        folder: for `var/predictions.db` and `data/clean/daily.parquet`.
        size: distinct forecasts, of the same number of sessions for each symbol.
    """
    settings = Settings(var=folder / "var")
    engine = engines.connect(settings.log_url)
    migrate.upgrade(engine)
    engine.dispose()
    sessions = -(-size // SYMBOLS)
    days = [START + timedelta(days=number) for number in range(sessions + 1)]
    symbols = [f"S{number:03}" for number in range(SYMBOLS)]
    generator = np.random.default_rng(0)
    with sqlite3.connect(settings.var / "predictions.db") as connection:
        for day, target in pairwise(days):
            frame = _session(symbols, day, target, generator)
            names = ", ".join(frame.columns)
            values = ", ".join("?" * frame.width)
            # The names are those of the schema.
            statement = f"INSERT INTO {prediction_logs.name} ({names}) VALUES ({values})"  # noqa: S608
            connection.executemany(statement, frame.iter_rows())
    connection.close()
    bars = pl.DataFrame({"symbol": symbols}).join(pl.DataFrame({"date": days}), how="cross")
    prices = pl.Series(np.exp(generator.normal(4, 0.1, bars.height)))
    columns = dict.fromkeys((*tables.PRICES, "adj_close"), prices)
    bars = bars.with_columns(**columns, volume=pl.lit(1000.0), filled=pl.lit(value=False))
    tables.write(bars.select(list(tables.CLEAN_DAILY)), folder / CLEAN_DAILY)


def _session(
    symbols: list[str], day: date, target: date, generator: np.random.Generator
) -> pl.DataFrame:
    """Rows of the log, of one session."""
    values = generator.normal(size=(len(symbols), len(FEATURES))).astype(np.float32)
    inputs = pl.DataFrame(values, schema=list(FEATURES))
    milliseconds = f"{(day - date(1970, 1, 1)).days * 86_400_000:012x}"
    start = f"{milliseconds[:8]}-{milliseconds[8:]}-7000-8000"
    return pl.DataFrame(
        {
            "id": [f"{start}-{number:012x}" for number in range(len(symbols))],
            "symbol": symbols,
            "inputs": inputs.select(pl.struct(pl.all()).struct.json_encode()).to_series(),
        }
    ).with_columns(
        created_at=pl.lit(f"{day} 22:00:00.000000"),
        request_id=pl.lit("r"),
        source=pl.lit("latest"),
        horizon=pl.lit(HORIZON),
        sessions=pl.lit(1),
        as_of=pl.lit(str(day)),
        target_date=pl.lit(str(target)),
        last_close=pl.lit(100.0),
        predicted_return=pl.lit(0.001),
        lower=pl.lit(-0.03),
        upper=pl.lit(0.03),
        level=pl.lit(0.9),
        probability=pl.lit(0.51),
        revision=pl.lit("a" * 40),
        model_md5=pl.lit("c" * 32),
        scale=pl.lit(0.02),
    )
