"""Bars to try features and datasets on: real ones, random ones, and how to compare results."""

import importlib.util
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import yaml
from hypothesis import settings
from hypothesis import strategies as st

from stages import params
from stages.common import tables
from stages.indicators.feature_params import FeatureParams
from stages.indicators.feature_table import features

PARAMS = Path(__file__).parents[1] / "params.yaml"

START = date(2003, 1, 1)

EMPTY: dict[str, Any] = {
    "lags": [],
    "sma": [],
    "ema": [],
    "momentum": [],
    "volatility": [],
    "ewma_volatility": [],
    "high": [],
    "relative_volume": [],
    "rsi": [],
    "macd": [],
    "bollinger": [],
    "bollinger_width": 2.0,
    "atr": [],
    "range": [],
    "market_lags": [],
    "market_same_session": True,
    "calendar": [],
    "hourly_volatility": False,
}
"""No feature but the volume."""

SMALL = EMPTY | {
    "lags": [1, 2, 5],
    "sma": [1, 3, 7],
    "ema": [1, 4],
    "momentum": [1, 5],
    "volatility": [2, 6],
    "ewma_volatility": [20],
    "high": [1, 4],
    "relative_volume": [1, 5],
    "rsi": [1, 4],
    "macd": [(2, 4, 3), (1, 3, 1)],
    "bollinger": [2, 5],
    "atr": [1, 3],
    "range": [1, 4],
    "market_lags": [1, 2],
    "calendar": ["day_of_week", "day_of_month", "month", "week_of_year", "quarter"],
    "hourly_volatility": True,
}
"""Every family, with windows that fit panels of a few rows; the least that params allow too."""


def examples(count: int) -> settings:
    """How many examples a law is tried on: half of them, unless CI_FULL=1 asks for all.

    When one goes exploring they are ten times as many.
    """
    if os.environ.get("HYPOTHESIS_PROFILE") == "explore":
        count *= 10
    elif os.environ.get("CI_FULL") != "1":
        count = (count + 1) // 2
    return settings(max_examples=count)


def feature_params(**changes: Any) -> FeatureParams:
    """Feature params with nothing in them but these changes."""
    return FeatureParams.model_validate(EMPTY | changes)


def small(**changes: Any) -> FeatureParams:
    return FeatureParams.model_validate(SMALL | changes)


def project_params() -> params.Params:
    """The params that the project ships."""
    return params.load(PARAMS)


def write_params(folder: Path, **sections: Mapping[str, Any]) -> None:
    """The project's `params.yaml` with some keys of some sections changed; `horizons` as given."""
    content = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    for name, changes in sections.items():
        content[name] = changes if name == "horizons" else content[name] | changes
    (folder / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


def daily(
    symbol: str,
    close: Sequence[float] | npt.NDArray[np.float64],
    dates: Sequence[date] | None = None,
    **columns: Any,
) -> pl.DataFrame:
    """Clean daily bars from closes; every other column has a plain value unless given."""
    closes = pl.Series("close", close, dtype=pl.Float64)
    count = len(closes)
    days = dates if dates is not None else [START + timedelta(days=i) for i in range(count)]
    plain = {
        "symbol": pl.Series([symbol] * count, dtype=pl.String),
        "date": pl.Series(days, dtype=pl.Date),
        "open": closes,
        "high": closes,
        "low": closes,
        "close": closes,
        "adj_close": closes,
        "volume": pl.Series([1000.0] * count, dtype=pl.Float64),
        "filled": pl.Series([False] * count, dtype=pl.Boolean),
    }
    return pl.DataFrame(plain | columns).select(list(tables.CLEAN_DAILY))


@cache
def sample() -> pl.DataFrame:
    """The real bars of AAPL, GOOG, IBM and MSFT, 2000 to 2013, their dividends and splits carried
    forward in `adj_close`."""
    spec = importlib.util.find_spec("bokeh_sampledata")
    assert spec is not None
    assert spec.origin is not None
    bars = (
        pl.read_csv(Path(spec.origin).parent / "_data" / "stocks.csv.gz")
        .rename(lambda name: {"Ticker": "symbol", "Adj Close": "back"}.get(name, name.lower()))
        .filter(pl.col("symbol") != "FB")
        .with_columns(pl.col("date").str.to_date(), pl.col("volume").cast(pl.Float64))
        .sort("symbol", "date")
    )
    factor = pl.col("back") / pl.col("close")
    return bars.with_columns(
        adj_close=pl.col("close") * factor / factor.first().over("symbol"), filled=False
    ).select(list(tables.CLEAN_DAILY))


@dataclass(frozen=True)
class Bars:
    """All that features are made of."""

    daily: pl.DataFrame
    market: dict[str, pl.DataFrame]
    hourly: pl.DataFrame

    def until(self, day: date) -> "Bars":
        """What was known at the close of a day."""
        known = pl.col("date") <= day
        return Bars(
            self.daily.filter(known),
            {name: bars.filter(known) for name, bars in self.market.items()},
            self.hourly.filter(known),
        )

    def features(self, settings: FeatureParams, threads: int = 1) -> pl.DataFrame:
        return features(self.daily, self.market, self.hourly, settings, threads)


def _walk(rng: np.random.Generator, count: int, *, wild: bool) -> npt.NDArray[np.float64]:
    """Closes: a random walk, at times flat, with jumps of orders of magnitude if wild."""
    moves = rng.normal(0, rng.choice([0.001, 0.02, 0.1]), count)
    moves[rng.random(count) < rng.choice([0.0, 0.3, 1.0], p=[0.6, 0.3, 0.1])] = 0.0
    if wild:
        moves += rng.normal(0, 3, count) * (rng.random(count) < 0.03)
    closes: npt.NDArray[np.float64] = 10 ** rng.uniform(-1, 4) * np.exp(np.cumsum(moves))
    return closes


def _dates(rng: np.random.Generator, count: int) -> list[date]:
    """Sessions with gaps, some of them longer than a market bar stays fresh."""
    steps = rng.choice([1, 3, 12], count, p=[0.8, 0.17, 0.03])
    first = START + timedelta(days=int(rng.integers(0, 20)))
    return [first + timedelta(days=int(days)) for days in np.cumsum(steps)]


def random_daily(
    rng: np.random.Generator, symbol: str, count: int, *, wild: bool = False
) -> pl.DataFrame:
    """One symbol with gaps, splits and dividends (in `adj_close` against `close`), flat stretches
    and zero volumes."""
    adjusted = _walk(rng, count, wild=wild)
    action = rng.choice([1, 1.01, 2, 0.1], count, p=[0.95, 0.02, 0.02, 0.01])
    factor = np.cumprod(action)
    close = adjusted / factor
    opened = close * np.exp(rng.normal(0, 0.01, count))
    volume = np.round(np.exp(rng.normal(8, 2, count))) * (rng.random(count) > 0.1)
    if rng.random() < 0.1:
        volume[:] = 0.0
    return daily(
        symbol,
        close,
        _dates(rng, count),
        open=opened,
        high=np.maximum(opened, close) * rng.choice([1, 1.02], count),
        low=np.minimum(opened, close) / rng.choice([1, 1.02], count),
        adj_close=adjusted,
        volume=volume,
        filled=rng.random(count) < 0.05,
    )


def hourly(symbol: str, sessions: Sequence[tuple[date, float, Sequence[float]]]) -> pl.DataFrame:
    """Clean hourly bars: per session its day, its first open and the close of every hour, each
    hour but the first opening where the one before closed."""
    rows = [
        {
            "symbol": symbol,
            "timestamp": datetime(day.year, day.month, day.day, 9 + hour, tzinfo=UTC),
            "open": ([opened, *closes])[hour],
            "high": close,
            "low": close,
            "close": close,
            "adj_close": close,
            "volume": 10.0,
            "date": day,
        }
        for day, opened, closes in sessions
        for hour, close in enumerate(closes)
    ]
    return pl.DataFrame(rows, schema=dict(tables.CLEAN_HOURLY))


def random_hourly(rng: np.random.Generator, bars: pl.DataFrame) -> pl.DataFrame:
    """Hours of some sessions of some symbols."""
    parts = [tables.empty(tables.CLEAN_HOURLY)]
    for (symbol,), rows in bars.group_by("symbol", maintain_order=True):
        if rng.random() < 0.5:
            continue
        sessions = [
            (day, opened, (close * np.exp(rng.normal(0, 0.01, rng.integers(1, 5)))).tolist())
            for day, opened, close in rows.select("date", "open", "close").iter_rows()
            if rng.random() < 0.5
        ]
        parts.append(hourly(str(symbol), sessions))
    return pl.concat(parts)


def random_bars(seed: int, lengths: Sequence[int], *, wild: bool = False) -> Bars:
    """A panel of so many bars a symbol, two market series and some hourly bars."""
    rng = np.random.default_rng(seed)
    bars = pl.concat(
        [random_daily(rng, f"S{i}", count, wild=wild) for i, count in enumerate(lengths)]
    )
    market = {
        name: random_daily(rng, name, max(lengths)).with_columns(filled=False)
        for name in ("index", "vix")
    }
    return Bars(bars, market, random_hourly(rng, bars))


def panels(
    rows: tuple[int, int] = (1, 40), symbols: tuple[int, int] = (1, 4), *, wild: bool = False
) -> st.SearchStrategy[Bars]:
    """Panels of several symbols of different lengths, down to one bar."""
    lengths = st.lists(st.integers(*rows), min_size=symbols[0], max_size=symbols[1])
    return st.builds(random_bars, st.integers(0, 2**32), lengths, wild=st.just(wild))


def bits(frame: pl.DataFrame) -> dict[str, tuple[bytes, bytes]]:
    """A table as bytes, column by column: which values are known, and the bits of those."""
    return {
        column.name: (
            column.is_null().to_numpy().tobytes(),
            column.drop_nulls().cast(pl.Categorical).to_physical().to_numpy().tobytes()
            if column.dtype == pl.String
            else column.drop_nulls().to_physical().to_numpy().tobytes(),
        )
        for column in frame
    }
