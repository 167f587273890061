"""Features against pandas and mlforecast, on the columns that all three can make.

All start from the same closes of whole symbols in memory, sorted by (symbol, date), and leave a
table in memory. mlforecast computes features of row t from the rows before it: its value in row
t + 1 is ours in row t.
"""

import gc
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd
import polars as pl

from benchmarks.panel import Panel
from benchmarks.report import Report, required
from stages.common import tables
from stages.indicators.feature_params import FeatureParams
from stages.indicators.feature_table import features

LAGS, SMA, EMA, STD = (1, 2, 3, 4, 5), (7, 21), (12, 26), 14
RETURNS = (*(f"return_lag{lag}" for lag in LAGS), f"vol_{STD}")
AVERAGES = (*(f"sma_{window}" for window in SMA), *(f"ema_{window}" for window in EMA))
COLUMNS = (*RETURNS, *AVERAGES)

PARAMS = FeatureParams(
    lags=list(LAGS),
    sma=list(SMA),
    ema=list(EMA),
    volatility=[STD],
    ewma_volatility=[],
    high=[],
    momentum=[],
    relative_volume=[],
    rsi=[],
    macd=[],
    bollinger=[],
    bollinger_width=2.0,
    atr=[],
    range=[],
    market_lags=[],
    market_same_session=True,
    calendar=[],
    hourly_volatility=False,
)

GROUP_ROWS = 250_000
THREADS = os.cpu_count() or 1
ROUNDS, ROUNDS_OF_MANY, MANY = 7, 3, 5_000_000
BOUNDS = (4.0, 1.0)
"""How many times as long pandas and mlforecast must take at the least."""
TOLERANCE, NEAR_ZERO = 1e-5, 1e-6


@dataclass(frozen=True)
class Contestant:
    """One way to make the columns.

    Attributes:
        make: is timed.
        columns: turns its result into a table with a row for each bar, to compare values.
    """

    name: str
    make: Callable[[], Any]
    columns: Callable[[Any], pl.DataFrame]


def closes(panel: Panel) -> pl.DataFrame:
    """The panel in the columns of `tables.CLEAN_DAILY`, with no dividend: a close is a close."""
    bars = pl.concat([bars for _, bars in panel.series()], rechunk=True)
    adjusted = bars.with_columns(adj_close=pl.col("close"), filled=pl.lit(value=False))
    return adjusted.select(list(tables.CLEAN_DAILY))


def ours(
    bars: pl.DataFrame,
    sessions: int,
    only: Sequence[str] | None = COLUMNS,
    name: str = "this project",
) -> Contestant:
    """The function of the features stage, group of symbols by group, as the stage calls it."""
    rows = max(1, GROUP_ROWS // sessions) * sessions

    def make() -> pl.DataFrame:
        groups = bars.iter_slices(rows)
        return pl.concat(features(group, {}, None, PARAMS, THREADS, only=only) for group in groups)

    return Contestant(name, make, lambda result: result.select(COLUMNS))


def by_pandas(bars: pl.DataFrame) -> Contestant:
    """Groupby on a categorical, which is faster than on text."""
    frame = bars.select("symbol", "date", "close").to_pandas()
    frame["symbol"] = frame["symbol"].astype("category")

    def make() -> pd.DataFrame:
        def grouped(values: pd.Series) -> Any:
            return values.groupby(frame["symbol"], sort=False, observed=True)

        close = grouped(frame["close"])
        returns = close.pct_change()
        table = frame[["symbol", "date"]].copy()
        for lag in LAGS:
            table[f"return_lag{lag}"] = grouped(returns).shift(lag - 1)
        for window in SMA:
            table[f"sma_{window}"] = close.rolling(window).mean().droplevel(0)
        for span in EMA:
            table[f"ema_{span}"] = close.ewm(span=span, adjust=False).mean().droplevel(0)
        table[f"vol_{STD}"] = grouped(returns).rolling(STD).std().droplevel(0)
        return table

    return Contestant("pandas groupby", make, lambda result: pl.from_pandas(result[list(COLUMNS)]))


def by_mlforecast(bars: pl.DataFrame) -> list[Contestant]:
    """`MLForecast.preprocess` with all threads, no check of the input, and no row dropped.

    One target makes one call: averages of the price and the rest of the return take two. The
    others make all columns of the price in one call, which spares them the returns; integers
    for symbols are the fastest input that it takes.
    """
    from mlforecast import MLForecast
    from mlforecast.lag_transforms import ExponentiallyWeightedMean, RollingMean, RollingStd

    averages = [
        *(RollingMean(window) for window in SMA),
        *(ExponentiallyWeightedMean(2 / (span + 1)) for span in EMA),
    ]
    prices = bars.select(unique_id="symbol", ds="date", y="close")
    numbered = prices.with_columns(pl.col("unique_id").rle_id())
    same = pl.col("unique_id") == pl.col("unique_id").shift(1)
    growth = pl.col("y") / pl.col("y").shift(1) - 1

    def preprocess(frame: pl.DataFrame, lags: Sequence[int], transforms: list[Any]) -> pl.DataFrame:
        forecast = MLForecast(
            models=[],
            freq="1d",
            lags=list(lags),
            lag_transforms={1: transforms},
            num_threads=THREADS,
        )
        table = forecast.preprocess(frame, dropna=False, validate_data=False, static_features=[])
        assert isinstance(table, pl.DataFrame)  # noqa: S101  # as it was given
        return table

    def twice() -> tuple[pl.DataFrame, pl.DataFrame]:
        returns = prices.with_columns(y=pl.when(same).then(growth).otherwise(0.0))
        return preprocess(prices, (), averages), preprocess(returns, LAGS, [RollingStd(STD)])

    def once(frame: pl.DataFrame) -> pl.DataFrame:
        return preprocess(frame, LAGS, [*averages, RollingStd(STD)])

    def named(table: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
        values = table.drop("unique_id", "ds", "y").shift(-1)
        values.columns = list(names)
        return values

    def both(table: tuple[pl.DataFrame, pl.DataFrame]) -> pl.DataFrame:
        parts = [named(table[0], AVERAGES), named(table[1], RETURNS)]
        return pl.concat(parts, how="horizontal")

    def price(table: pl.DataFrame) -> pl.DataFrame:
        lags = [f"price_lag{lag}" for lag in LAGS]
        return named(table, [*lags, *AVERAGES, "price_std"]).select(AVERAGES)

    return [
        Contestant("mlforecast", twice, both),
        Contestant("mlforecast, all of the price", partial(once, prices), price),
        Contestant("mlforecast, all of the price, integer ids", partial(once, numbered), price),
    ]


def check(ours: pl.DataFrame, theirs: pl.DataFrame, inner: pl.Series, name: str) -> None:
    """The race counts only if all contestants give the same value wherever ours has one.

    Args:
        ours: `COLUMNS`, null in the warm-up.
        theirs: some of them, as many rows.
        inner: which rows to compare.
        name: of the contestant.

    Raises:
        AssertionError: some value differs by more than float32 can explain.
    """
    for column in theirs.columns:
        a, b = ours[column].cast(pl.Float64), theirs[column].fill_null(float("nan"))
        known = inner & a.is_not_null()
        same = (a - b).abs() <= NEAR_ZERO + TOLERANCE * b.abs()
        wrong = (known & ~(same & b.is_finite()).fill_null(value=False)).sum()
        if wrong or not known.any():
            raise AssertionError(f"{name}: {column} differs from ours in {wrong:,} rows")


def race(contestants: Sequence[Contestant], rounds: int) -> list[tuple[float, float]]:
    """The best wall time and CPU time of each, in seconds.

    They take turns, so that other work on the machine affects all of them alike.
    """
    times: list[list[tuple[float, float]]] = [[] for _ in contestants]
    for _ in range(rounds):
        for contestant, own in zip(contestants, times, strict=True):
            gc.collect()
            start, busy = time.perf_counter(), time.process_time()
            result = contestant.make()
            own.append((time.perf_counter() - start, time.process_time() - busy))
            del result
    return [(min(wall for wall, _ in own), min(busy for _, busy in own)) for own in times]


def measure(panels: Sequence[Panel]) -> Report:
    """Race on panels."""
    rows, findings = [], []
    for panel in panels:
        bars = closes(panel)
        contestants = [
            ours(bars, panel.sessions),
            by_pandas(bars),
            *by_mlforecast(bars),
            ours(bars, panel.sessions, None, "this project, five columns more"),
        ]
        # In each symbol's last row mlforecast has no row after it to give our value.
        inner = (bars["symbol"] == bars["symbol"].shift(-1)).fill_null(value=False)
        reference = contestants[0].columns(contestants[0].make())
        for peer in contestants[1:]:
            check(reference, peer.columns(peer.make()), inner, peer.name)
        del reference
        best = race(contestants, ROUNDS if panel.bars < MANY else ROUNDS_OF_MANY)
        times = [seconds / best[0][0] for seconds, _ in best]
        for contestant, (seconds, busy), ratio in zip(contestants, best, times, strict=True):
            rate = panel.bars / seconds / 1e6
            figures = (f"{seconds:.3f}", f"{busy:.3f}", f"{rate:.1f}", f"{ratio:.2f}")
            rows.append((f"{panel.bars:,}", contestant.name, *figures))
        findings += [
            f"{panel.bars:,} bars: {contestant.name} takes {ratio:.2f} times as long; "
            f"{required(ratio, bound, at_least=True)}."
            for contestant, ratio, bound in zip(contestants[1:], times[1:], BOUNDS, strict=False)
        ]
    return Report(
        ("bars", "made by", "seconds", "of CPU", "M bars/s", "times ours"),
        rows,
        findings,
        ("polars", "numpy", "coreforecast", "pandas", "mlforecast"),
        texts=2,
    )
