"""How often the check finds drift where there is none and where there is some, and its cost.

Reads the datasets that `dvc repro` left in the current folder; panels are made in memory.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from sqlalchemy import insert
from uuid_utils import uuid7

from benchmarks.processes import python
from benchmarks.report import Report, required
from monitor.drift import drift_check, drift_comparison, prepared_reference
from monitor.drift.drift_comparison import Comparison
from monitor.drift.drift_reference import FORECASTS, KEYS, PARTS
from predictions import migrate
from predictions.engine import opened
from predictions.schema import prediction_logs
from stages.common import tables
from stages.common.paths import DATASETS
from stages.monitor_params import DriftParams
from versions.repository.workspace import digest

PARAMS = DriftParams(window=200, false_alarms=0.05, resamples=500, seed=0)

WINDOWS = 200
"""Windows without drift, and as many with."""

SESSIONS = 50
"""Of a window of 200 rows of four symbols."""

SHIFTED = 3
POWER = 0.95

SLOW = (("mom_252", "vol_21", "vol_252"), ("mom_63", "mom_252", "vol_252"))
"""Features that move over months; the others explain one of the first triple, none of the last."""

SIZES = (1_000, 100_000, 1_000_000)
LIMIT_SECONDS, LIMIT_MB = 30, 1_000
"""What a check of 100,000 forecasts may take."""


class Case(NamedTuple):
    """A reference, and a window that has not drifted from it."""

    reference: pl.DataFrame
    window: pl.DataFrame


def real(horizon: str, windows: int = WINDOWS, gap: int = 0) -> Iterator[Case]:
    """Windows of the training table, each cut out of it, with so many sessions after it."""
    parts = [tables.read(DATASETS / horizon / f"{part}.parquet") for part in PARTS]
    rows = pl.concat(parts).sort("date", "symbol")
    rows = rows.select("symbol", "date", *(c for c in rows.columns if c not in KEYS))
    days = rows["date"].unique().sort()
    for begin in np.linspace(0, len(days) - SESSIONS, windows).astype(int):
        end = begin + SESSIONS
        last = min(end + gap, len(days)) - 1
        within = pl.col("date").is_between(days[int(begin)], days[int(end) - 1])
        beyond = ~pl.col("date").is_between(days[int(begin)], days[int(last)])
        yield Case(rows.filter(beyond), rows.filter(within).tail(PARAMS.window))


def synthetic(windows: int = WINDOWS, sessions: int = 2_950) -> Iterator[Case]:
    """The end of a panel against what was before it, in a panel of its own each time."""
    for seed in range(windows):
        rows = panel(4, sessions + SESSIONS, seed)
        last = rows["date"].unique().sort()[sessions]
        yield Case(rows.filter(pl.col("date") < last), rows.filter(pl.col("date") >= last))


def panel(symbols: int, sessions: int, seed: int) -> pl.DataFrame:
    """Features of a market whose volatility clusters and whose parameters never change.

    Log volatility is a first-order autoregression, common to the symbols for one half. The features
    are lags, momenta, volatilities and a relative volume, of windows of 5 to 252 sessions.

    Returns:
        `symbol, date` and 17 features, float32, sorted by date and symbol.
    """
    random = np.random.default_rng(seed)
    warm = 252
    total = sessions + warm
    noise = random.normal(size=(2, symbols + 1, total + 500))
    level = np.zeros((symbols + 1, total + 500))
    for at in range(1, total + 500):
        level[:, at] = 0.98 * level[:, at - 1] + 0.1 * noise[0, :, at]
    level = level[:, 500:]
    shocks = noise[1, :, 500:]
    market = 0.01 * np.exp(level[-1]) * shocks[-1]
    returns = market + 0.012 * np.exp((level[:-1] + level[-1]) / 2) * shocks[:-1]

    def rolled(values: np.ndarray, window: int) -> np.ndarray:
        sums = np.cumsum(np.pad(values, ((0, 0), (window, 0))), axis=1)
        summed: np.ndarray = sums[:, window:] - sums[:, :-window]
        return summed

    volume = np.exp(0.5 * level[:-1] + 0.3 * random.normal(size=(symbols, total)))
    features = {f"return_lag{lag}": np.roll(returns, lag - 1, axis=1) for lag in (1, 2, 3, 4, 5)}
    features |= {f"mom_{window}": rolled(returns, window) for window in (5, 21, 63, 252)}
    features |= {
        f"vol_{window}": np.sqrt(rolled(returns**2, window) / window) for window in (5, 21, 63, 252)
    }
    features["relative_volume_21"] = volume / rolled(volume, 21) * 21
    for lag in (1, 2, 5):
        lagged = np.roll(market, lag - 1)
        features[f"market_return_lag{lag}"] = np.broadcast_to(lagged, returns.shape)
    days = [date(1990, 1, 1) + timedelta(days=number) for number in range(sessions)]
    return pl.DataFrame(
        {
            "symbol": [f"S{number:04}" for number in range(symbols)] * sessions,
            "date": pl.Series(days).repeat_by(symbols).explode(),
            **{
                name: each[:, warm:].T.ravel().astype(np.float32) for name, each in features.items()
            },
        }
    )


def shifted(case: Case, features: Sequence[str], seed: int) -> pl.DataFrame:
    """The window with some features moved by one standard deviation of the reference."""
    signs = np.random.default_rng(seed).choice([-1, 1], len(features))
    moved = [
        (pl.col(name) + float(case.reference[name].std() * sign)).cast(pl.Float32)
        for name, sign in zip(features, signs, strict=True)
    ]
    return case.window.with_columns(moved)


class Rates(NamedTuple):
    """How often windows raised an alarm.

    Attributes:
        windows: how many.
        false: alarms without drift.
        detected: alarms with drift.
        named: share of the shifted features that were named.
        fixed: alarms with drift in each of some triples that are not chosen at random.
    """

    windows: int
    false: int
    detected: int
    named: float
    fixed: Sequence[int]


def rates(
    cases: Iterator[Case], params: DriftParams = PARAMS, fixed: Sequence[Sequence[str]] = ()
) -> Rates:
    """Look at each window as it is, and with three features chosen at random, or these, moved."""
    count = false = detected = named = 0
    of_fixed = [0] * len(fixed)
    for number, case in enumerate(cases):
        window = prepared_reference.shape(case.window.select("symbol", as_of="date"))
        prepared = prepared_reference.prepare(case.reference, window, params)

        def look(rows: pl.DataFrame) -> Comparison:
            inputs = rows.select(prepared.features)  # noqa: B023
            return drift_comparison.compare(prepared, inputs, params.seed)  # noqa: B023

        random = np.random.default_rng(number)
        chosen = sorted(random.choice(prepared.features, SHIFTED, replace=False))
        drifted = look(shifted(case, chosen, number)).drifted
        count += 1
        false += bool(look(case.window).drifted)
        detected += bool(drifted)
        named += len(set(chosen) & set(drifted))
        for place, triple in enumerate(fixed):
            of_fixed[place] += bool(look(shifted(case, triple, number)).drifted)
    return Rates(count, false, detected, named / (SHIFTED * count), of_fixed)


class Cost(NamedTuple):
    """Of one check in a process of its own: wall seconds, and MB of the largest process."""

    seconds: float
    megabytes: float


MODEL = "c" * 32
WINDOW_SESSIONS, REFERENCE_SESSIONS = 200, 1_000


def world(folder: Path, size: int) -> date:
    """A log of so many forecasts and the pinned training table; returns the day of the last."""
    rows = panel(size // WINDOW_SESSIONS, REFERENCE_SESSIONS + WINDOW_SESSIONS, 0)
    days = rows["date"].unique().sort()
    trained = pl.col("date") < days[REFERENCE_SESSIONS]
    forecast = {
        "forecast": 0.001,
        "lower": -0.03,
        "upper": 0.03,
        "probability": 0.52,
        "scale": 0.02,
    }
    pinned = folder / "var" / "monitor" / drift_check.REFERENCES
    pinned.mkdir(parents=True)
    reference = rows.filter(trained)
    parts = {
        "train": reference.with_columns(target_date="date", close=pl.lit(1.0), target=pl.lit(0.0)),
        FORECASTS: reference.tail(10_000).select("symbol", "date").with_columns(**forecast),
    }
    parts |= {name: parts["train"].clear() for name in ("purged", "test")}
    files = {}
    for name, part in parts.items():
        tables.write(part, folder / name)
        files[name] = digest(folder / name)
        (folder / name).rename(pinned / f"{files[name]}.parquet")
    note = {"commit": "", "dataset": "d" * 32, "files": files}
    (pinned / f"short-{MODEL}.json").write_text(json.dumps(note), encoding="utf-8")
    _log(folder / "var" / "predictions.db", rows.filter(~trained), forecast)
    last = days[-1]
    if not isinstance(last, date):
        raise TypeError(last)
    return last


def _log(path: Path, rows: pl.DataFrame, forecast: Mapping[str, float]) -> None:
    with opened(f"sqlite:///{path}", 60, bounded=False) as engine:
        migrate.upgrade(engine)
        for some in rows.iter_slices(50_000):
            inputs = some.select(pl.exclude("symbol", "date"))
            forecasts = some.select("symbol", as_of="date", target_date="date").with_columns(
                inputs=pl.Series([json.dumps(each) for each in inputs.iter_rows(named=True)])
            )
            values = {
                "created_at": datetime(2026, 1, 1, tzinfo=UTC),
                "request_id": "r",
                "source": "latest",
                "horizon": "short",
                "sessions": 1,
                "predicted_return": forecast["forecast"],
                **{name: forecast[name] for name in ("lower", "upper", "probability", "scale")},
                "level": 0.9,
                "revision": "r",
                "model_md5": MODEL,
            }
            with engine.begin() as connection:
                connection.execute(
                    insert(prediction_logs),
                    [
                        {"id": str(uuid7()), **values, **each}
                        for each in forecasts.iter_rows(named=True)
                    ],
                )


CHECK = """
import sys
from datetime import date
from monitor.drift import drift_check
from monitor.settings import Settings
from monitor.store import records
from stages.monitor_params import DriftParams, MonitorParams
settings = Settings()
params = DriftParams(window=int(sys.argv[1]), false_alarms=0.05, resamples=500, seed=0)
thresholds = MonitorParams.model_construct(drift=params)
with records.opened(settings) as engine:
    drift = drift_check.check(
        engine, settings, thresholds, "short", date.fromisoformat(sys.argv[2]),
        with_report=sys.argv[3] == "report",
    )
if drift.problem or drift.rows != params.window:
    sys.exit(f"{drift.problem}, {drift.rows} rows")
"""


def costs(size: int) -> tuple[Cost, Cost, Cost]:
    """Of the first check, of one whose calibration is kept, and of one with Evidently's report."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        last = world(folder, size)

        def check(report: str) -> Cost:
            usage = python(["-c", CHECK, str(size), last.isoformat(), report], folder)
            return Cost(usage.seconds, usage.peak / 2**20)

        return check("-"), check("-"), check("report")


def measure() -> Report:
    """Error rates first, then costs."""
    rows: list[tuple[str, ...]] = []
    findings = []
    named: dict[str, tuple[Iterator[Case], Sequence[Sequence[str]]]] = {
        "windows cut out of the training table": (real("short"), ()),
        "the same, with the year after each": (real("short", gap=252), ()),
        "ends of synthetic panels": (synthetic(), SLOW),
    }
    for name, (cases, fixed) in named.items():
        counts = rates(cases, fixed=fixed)
        false, power = counts.false / counts.windows, counts.detected / counts.windows
        figures = (f"{counts.windows}", f"{false:.1%}", f"{power:.1%}", f"{counts.named:.0%}")
        rows.append((name, *figures, "", "", "", ""))
        findings.append(
            f"{name}: {false:.1%} false alarms, {required(false, PARAMS.false_alarms)}; shifts "
            f"found in {power:.1%}, {required(power, POWER, at_least=True)}."
        )
        for triple, count in zip(fixed, counts.fixed, strict=True):
            share = f"{count / counts.windows:.1%}"
            rows.append((f"the same, {', '.join(triple)}", "", "", share, "", "", "", "", ""))
    for size in SIZES:
        first, again, reported = costs(size)
        evidently = reported.seconds - again.seconds
        figures = (
            f"{first.seconds:.1f} s",
            f"{again.seconds:.1f} s",
            f"{evidently:.1f} s",
            f"{max(first.megabytes, reported.megabytes):,.0f} MB",
        )
        rows.append((f"a check of {size:,} forecasts", "", "", "", "", *figures))
        if size == 100_000:  # noqa: PLR2004
            peak = max(first.megabytes, reported.megabytes)
            findings.append(
                f"{size:,} forecasts with the report: {reported.seconds:.1f} s, "
                f"{required(reported.seconds, LIMIT_SECONDS)}; {peak:,.0f} MB, "
                f"{required(peak, LIMIT_MB)}."
            )
    header = (
        *("case", "windows", "false alarms", "found", "named"),
        *("first check", "next checks", "Evidently", "memory"),
    )
    return Report(header, rows, findings, ("evidently", "numpy", "polars", "scipy"))
