"""How often drift is found where there is none, where there is some, and what looking costs.

Reads the datasets that `dvc repro` left in the current folder; panels are made in memory.
"""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import NamedTuple

import numpy as np
import polars as pl

from monitor.drift import comparison
from monitor.drift.comparison import Comparison
from monitor.drift.drift_reference import KEYS, PARTS
from stages.common import tables
from stages.common.paths import DATASETS
from stages.monitor_params import DriftParams

PARAMS = DriftParams(window=200, false_alarms=0.05, resamples=500, seed=0)

WINDOWS = 200
"""Windows without drift, and as many with."""

SESSIONS = 50
"""Of a window of 200 rows of four symbols."""

SHIFTED = 3
POWER = 0.95

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
        (pl.col(name) + float(case.reference[name].std() * sign)).cast(pl.Float32)  # type: ignore[operator]
        for name, sign in zip(features, signs, strict=True)
    ]
    return case.window.with_columns(moved)


class Rates(NamedTuple):
    """Of windows: how many, alarms without drift, with drift, and shifted features named."""

    windows: int
    false: int
    found: int
    named: float


def rates(cases: Iterator[Case], params: DriftParams = PARAMS) -> Rates:
    """Look at each window as it is, and with three features chosen at random moved."""
    count = false = found = named = 0
    for number, case in enumerate(cases):
        window = comparison.shape(case.window.select("symbol", as_of="date"))
        prepared = comparison.prepare(case.reference, window, params)

        def look(rows: pl.DataFrame) -> Comparison:
            inputs = rows.select(prepared.features)  # noqa: B023
            return comparison.compare(prepared, inputs, params.seed)  # noqa: B023

        random = np.random.default_rng(number)
        chosen = sorted(random.choice(prepared.features, SHIFTED, replace=False))
        drifted = look(shifted(case, chosen, number)).drifted
        count += 1
        false += bool(look(case.window).drifted)
        found += bool(drifted)
        named += len(set(chosen) & set(drifted))
    return Rates(count, false, found, named / (SHIFTED * count))
