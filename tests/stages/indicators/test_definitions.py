"""Indicators against oracles that share no code with them, and against numbers worked by hand."""

import math
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
import pytest
import talib
from hypothesis import given
from hypothesis import strategies as st

from stages.indicators.definitions import NEGLIGIBLE, definitions, lookback
from stages.indicators.feature_params import FeatureParams
from stages.indicators.feature_table import features
from stages.indicators.panel import Panel
from tests.panels import (
    START,
    daily,
    examples,
    feature_params,
    project_params,
    random_bars,
    random_daily,
    sample,
    small,
)

Array = npt.NDArray[np.float64]

TOLERANCE = 1e-6
"""Relative; float32 alone rounds by 6e-8."""

DEFAULT = project_params().features
MARKET = project_params().data.market


def adjusted(bars: pl.DataFrame) -> dict[str, Array]:
    """Open, high, low, close and volume of one symbol in shares of its first bar."""
    factor = (bars["adj_close"] / bars["close"]).to_numpy()
    return {
        "high": bars["high"].to_numpy() * factor,
        "low": bars["low"].to_numpy() * factor,
        "close": bars["adj_close"].to_numpy(),
        "volume": bars["volume"].to_numpy() / factor,
        "factor": factor,
    }


def known(column: pl.Series) -> Array:
    """Values as float64, NaN where null; no value may be NaN itself."""
    assert not column.is_nan().any()
    return column.cast(pl.Float64).fill_null(math.nan).to_numpy()


def column(bars: pl.DataFrame, settings: FeatureParams, name: str) -> Array:
    return known(features(bars, {}, None, settings)[name])


def near(values: Sequence[float]) -> Any:
    return pytest.approx(np.array(values, float), rel=TOLERANCE, abs=1e-9, nan_ok=True)


def agree(ours: Array, oracle: Array, after: int, scale: Array | float = 0.0) -> None:
    """Equal from row `after` on, to TOLERANCE of the value, or of `scale` where that is larger."""
    assert after < len(ours) - 100, "the oracle is hardly tried"
    error = np.abs(ours - oracle)[after:]
    limit = TOLERANCE * np.maximum(np.abs(oracle), scale)[after:]
    assert not np.isnan(error).any()
    assert (error <= limit).all(), f"off by {np.nanmax(error / limit):.3g} times the tolerance"


def steps(span: int) -> int:
    """Bars after which how an average was seeded no longer shows (weight 1e-9)."""
    return math.ceil(math.log(1e-9) / math.log(1 - 2 / (span + 1)))


def by_talib(bars: pl.DataFrame) -> dict[str, tuple[Array, int, Array | float]]:
    """Oracle of every column that TA-Lib can make: values, from which row on, and the scale of
    what is subtracted, where the value is a difference."""
    price = adjusted(bars)
    close, high, low, factor = (price[name] for name in ("close", "high", "low", "factor"))
    change = np.nan_to_num(talib.ROCP(close, 1))
    oracle: dict[str, tuple[Array, int, Array | float]] = {
        "return_lag1": (talib.ROCP(close, 1), 1, 1.0),
        "return_lag3": (np.roll(talib.ROCP(close, 1), 2), 3, 1.0),
        "mom_7": (talib.ROCP(close, 7), 7, 1.0),
        "mom_252": (talib.ROCP(close, 252), 252, 1.0),
        # TA-Lib divides by n and subtracts squares, which costs it half of its digits.
        "vol_14": (talib.STDDEV(change, 14) * math.sqrt(14 / 13), 14, 1e-2),
        "vol_63": (talib.STDDEV(change, 63) * math.sqrt(63 / 62), 63, 1e-2),
        "vol_252": (talib.STDDEV(change, 252) * math.sqrt(252 / 251), 252, 1e-2),
        "dist_high_252": (close / talib.MAX(high, 252) - 1, 251, 1.0),
        "relative_volume_21": (price["volume"] / talib.SMA(price["volume"], 21), 20, 0.0),
        "rsi_14": (talib.RSI(close, 14), steps(27), 0.0),
        "atr_14": (talib.ATR(high, low, close, 14) / factor, steps(27), 0.0),
        **{
            # Parkinson's variance of a session is the squared log range over 4 log 2.
            f"range_{w}": (
                np.sqrt(talib.SMA(np.log(high / low) ** 2, w) / (4 * math.log(2)))
                if w > 1
                else np.log(high / low) / math.sqrt(4 * math.log(2)),
                w - 1,
                1e-2,
            )
            for w in (1, 5, 21, 63)
        },
        "rel_atr_14": (talib.NATR(high, low, close, 14) / 100, steps(27), 0.0),
    }
    for window in (7, 21):
        mean = talib.SMA(close, window)
        oracle[f"sma_{window}"] = (mean / factor, window - 1, 0.0)
        oracle[f"dist_sma_{window}"] = (close / mean - 1, window - 1, 1.0)
    for window in (12, 26):
        mean = talib.EMA(close, window)
        oracle[f"ema_{window}"] = (mean / factor, steps(window), 0.0)
        oracle[f"dist_ema_{window}"] = (close / mean - 1, steps(window), 1.0)
    line, signal, histogram = talib.MACD(close, 12, 26, 9)
    settled = steps(26) + steps(9)
    oracle["macd_12_26_9"] = (line / factor, settled, close / factor)
    oracle["macd_signal_12_26_9"] = (signal / factor, settled, close / factor)
    oracle["rel_macd_12_26_9"] = (line / close, settled, 1.0)
    oracle["rel_macd_hist_12_26_9"] = (histogram / close, settled, 1.0)
    upper, middle, lower = talib.BBANDS(close, 20, 2.0, 2.0)
    oracle["bb_upper_20"] = (upper / factor, 19, 0.0)
    oracle["bb_lower_20"] = (lower / factor, 19, close / factor)
    oracle["bb_width_20"] = ((upper - lower) / middle, 19, 0.0)
    oracle["bb_position_20"] = ((close - lower) / (upper - lower), 19, 1.0)
    return oracle


MADE_BY_TALIB = list(by_talib(sample().head(300)))


@pytest.mark.parametrize("symbol", ["AAPL", "GOOG", "IBM", "MSFT"])
def test_real_bars_agree_with_talib(symbol: str) -> None:
    table = features(sample(), {}, None, DEFAULT).filter(pl.col("symbol") == symbol)
    bars = sample().filter(pl.col("symbol") == symbol)
    for name, (values, after, scale) in by_talib(bars).items():
        agree(known(table[name]), values, after, scale)


def test_talib_is_the_oracle_of_every_column_but_these() -> None:
    """So that a new family does not go without one."""
    others = set(definitions(DEFAULT, [])) - set(MADE_BY_TALIB)
    lags = {f"return_lag{lag}" for lag in (2, 4, 5)}
    assert others == {
        "volume",
        "mom_21",
        "mom_63",
        "day_of_week",
        "month",
        "hourly_volatility",
        "ewma_vol_94",  # pandas is its oracle
        *lags,
    }


@given(seed=st.integers(0, 2**32), windows=st.tuples(*[st.integers(2, 30)] * 3))
@examples(25)
def test_random_bars_agree_with_talib(seed: int, windows: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(seed)
    window, fast, extra = windows
    slow = fast + extra
    moves = rng.normal(0, 0.02, 1200)
    close = 50 * np.exp(np.cumsum(moves))
    high, low = close * (1 + rng.random(1200) / 50), close * (1 - rng.random(1200) / 50)
    bars = daily("S", close, high=high, low=low, volume=np.exp(rng.normal(9, 1, 1200)))
    settings = feature_params(
        sma=[window],
        ema=[window],
        momentum=[window],
        volatility=[window],
        high=[window],
        relative_volume=[window],
        rsi=[window],
        macd=[(fast, slow, window)],
        bollinger=[window],
        bollinger_width=1.5,
        atr=[window],
    )
    table = features(bars, {}, None, settings)

    def check(name: str, values: Array, after: int, scale: Array | float = 0.0) -> None:
        agree(known(table[name]), values, after, scale)

    change = np.nan_to_num(talib.ROCP(close, 1))
    wilder = steps(2 * window - 1) + 1
    check(f"sma_{window}", talib.SMA(close, window), window - 1)
    check(f"ema_{window}", talib.EMA(close, window), steps(window))
    check(f"mom_{window}", talib.MOM(close, window) / np.roll(close, window), window, 1.0)
    deviation = talib.STDDEV(change, window) * math.sqrt(window / (window - 1))
    check(f"vol_{window}", deviation, window, 1e-2)
    check(f"dist_high_{window}", close / talib.MAX(high, window) - 1, window - 1, 1.0)
    check(f"rsi_{window}", talib.RSI(close, window), wilder, 1.0)
    check(f"atr_{window}", talib.ATR(high, low, close, window), wilder)
    line, signal, histogram = talib.MACD(close, fast, slow, window)
    spans, settled = f"{fast}_{slow}_{window}", steps(slow) + steps(window)
    check(f"macd_{spans}", line, settled, close)
    check(f"macd_signal_{spans}", signal, settled, close)
    check(f"rel_macd_hist_{spans}", histogram / close, settled, 1.0)
    upper, middle, lower = talib.BBANDS(close, window, 1.5, 1.5)
    check(f"bb_upper_{window}", upper, window - 1)
    check(f"bb_lower_{window}", lower, window - 1)
    check(f"bb_width_{window}", (upper - lower) / middle, window - 1, 1e-2)


def smoothed(values: npt.NDArray[np.floating[Any]], alpha: float) -> Array:
    return pd.Series(values).ewm(alpha=alpha, adjust=False).mean().to_numpy()


def by_pandas(bars: pl.DataFrame) -> dict[str, Array]:
    """The averages that have an exact seed, from their first row on."""
    price = adjusted(bars)
    close, high, low = (pd.Series(price[name]) for name in ("close", "high", "low"))
    change = close.diff().fillna(0.0)
    gain = smoothed(change.clip(lower=0).to_numpy(), 1 / 14)
    loss = smoothed((-change).clip(lower=0).to_numpy(), 1 / 14)
    with np.errstate(divide="ignore", invalid="ignore"):
        strength = 100 - 100 / (1 + gain / loss)
    line = smoothed(price["close"], 2 / 13) - smoothed(price["close"], 2 / 27)
    reach = pd.concat([high - low, (high - close.shift()).abs(), (low - close.shift()).abs()])
    true_range = reach.groupby(level=0).max().to_numpy()
    return {
        "ema_26": smoothed(price["close"], 2 / 27) / price["factor"],
        "rsi_14": strength,
        "rel_macd_12_26_9": line / price["close"],
        "macd_signal_12_26_9": smoothed(line, 2 / 10) / price["factor"],
        "atr_14": smoothed(true_range, 1 / 14) / price["factor"],
        "vol_63": close.pct_change().rolling(63).std().to_numpy(),
        "dist_high_252": (close / high.rolling(252).max() - 1).to_numpy(),
        "relative_volume_21": price["volume"]
        / pd.Series(price["volume"]).rolling(21).mean().to_numpy(),
    }


@pytest.mark.parametrize("symbol", ["AAPL", "GOOG"])
def test_real_bars_agree_with_pandas_from_the_first_known_value(symbol: str) -> None:
    bars = sample().filter(pl.col("symbol") == symbol)
    table = features(bars, {}, None, DEFAULT)
    for name, values in by_pandas(bars).items():
        first = table[name].is_not_null().arg_max()
        assert first is not None
        ours = known(table[name])
        agree(ours, values, first, 1e-2 if name.startswith("rel_macd") else 0.0)


# Each row is a bar's close; splits and dividends are in `factor`, adjusted over traded price.
CLOSE = [100.0, 110.0, 99.0, 60.0, 63.0]
FACTOR = [1.0, 1.0, 1.0, 2.0, 2.0]
WORKED = daily(
    "S",
    CLOSE,
    adj_close=[c * f for c, f in zip(CLOSE, FACTOR, strict=True)],
    high=[102.0, 112.0, 111.0, 62.0, 64.0],
    low=[98.0, 101.0, 98.0, 48.0, 60.0],
    volume=[10.0, 20.0, 30.0, 80.0, 120.0],
)
NO = math.nan
# Squared returns 0, 0.01, 0.01, (7 / 33)^2, 0.0025, each average keeping 1 percent of the last.
VARIANCE = 0.99 * (7 / 33) ** 2 + 0.0099 * 0.01 + 0.000099 * 0.01
NEXT_VARIANCE = 0.99 * 0.0025 + 0.01 * VARIANCE
BY_HAND: dict[str, tuple[dict[str, Any], list[float]]] = {
    "volume": ({}, [10, 20, 30, 80, 120]),
    # adjusted closes 100, 110, 99, 120, 126
    "return_lag1": ({"lags": [1]}, [NO, 0.1, -0.1, 7 / 33, 0.05]),
    "return_lag2": ({"lags": [2]}, [NO, NO, 0.1, -0.1, 7 / 33]),
    "mom_2": ({"momentum": [2]}, [NO, NO, -0.01, 1 / 11, 3 / 11]),
    "sma_2": ({"sma": [2]}, [NO, 105, 104.5, 54.75, 61.5]),
    "sma_1": ({"sma": [1]}, [100, 110, 99, 60, 63]),
    "dist_sma_2": ({"sma": [2]}, [NO, 1 / 21, -11 / 209, 21 / 219, 3 / 123]),
    "ema_1": ({"ema": [1]}, [100, 110, 99, 60, 63]),
    # deviations of two returns: their difference over the root of two
    "vol_2": (
        {"volatility": [2]},
        [NO, NO, 0.2 / 2**0.5, (7 / 33 + 0.1) / 2**0.5, (7 / 33 - 0.05) / 2**0.5],
    ),
    # of a decay of 1 percent; known when the first bar weighs less than 0.25 percent
    "ewma_vol_1": ({"ewma_volatility": [1]}, [NO, NO, NO, VARIANCE**0.5, NEXT_VARIANCE**0.5]),
    # ranges 102/98, 112/101, ... in units of 4 log 2
    "range_1": (
        {"range": [1]},
        [
            math.log(high / low) / (4 * math.log(2)) ** 0.5
            for high, low in ((102, 98), (112, 101), (111, 98), (62, 48), (64, 60))
        ],
    ),
    # highs in shares of the first bar: 102, 112, 111, 124, 128
    "dist_high_1": ({"high": [1]}, [-2 / 102, -2 / 112, -12 / 111, -4 / 124, -2 / 128]),
    "dist_high_3": ({"high": [3]}, [NO, NO, -13 / 112, -4 / 124, -2 / 128]),
    # volumes in shares of the first bar: 10, 20, 30, 40, 60
    "relative_volume_2": ({"relative_volume": [2]}, [NO, 4 / 3, 1.2, 8 / 7, 1.2]),
    "rsi_1": ({"rsi": [1]}, [NO, 100, 0, 100, 100]),
    # true ranges 112-100, 111-98, 124-96 (against the close of 99 before), 128-120
    "atr_1": ({"atr": [1]}, [NO, 12, 13, 14, 4]),
    "rel_atr_1": ({"atr": [1]}, [NO, 12 / 110, 13 / 99, 28 / 120, 8 / 126]),
    # population deviation of two: half their distance
    "bb_upper_2": ({"bollinger": [2]}, [NO, 115, 115.5, (109.5 + 21) / 2, 64.5 + 0.0]),
    "bb_lower_2": ({"bollinger": [2]}, [NO, 95, 93.5, (109.5 - 21) / 2, 58.5]),
    "bb_position_2": ({"bollinger": [2]}, [NO, 0.75, 0.25, 0.75, 0.75]),
    "bb_width_2": ({"bollinger": [2]}, [NO, 20 / 105, 22 / 104.5, 42 / 109.5, 12 / 123]),
    # START is a Wednesday
    "day_of_week": ({"calendar": ["day_of_week"]}, [3, 4, 5, 6, 7]),
    "day_of_month": ({"calendar": ["day_of_month"]}, [1, 2, 3, 4, 5]),
    "month": ({"calendar": ["month"]}, [1] * 5),
    "week_of_year": ({"calendar": ["week_of_year"]}, [1] * 5),
    "quarter": ({"calendar": ["quarter"]}, [1] * 5),
    "hourly_volatility": ({"hourly_volatility": True}, [NO] * 5),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_numbers_worked_by_hand(name: str) -> None:
    wanted, expected = BY_HAND[name]
    assert column(WORKED, feature_params(**wanted), name) == near(expected)


def test_macd_worked_by_hand() -> None:
    # Spans 1 and 3 smooth by 1 and 1/2: slow 100, 105, 102; line 0, 5, -3; signal of span 1: same.
    table = features(
        daily("S", [100, 110, 99] + [99.0] * 20), {}, None, feature_params(macd=[(1, 3, 1)])
    )
    slow = smoothed(np.array([100, 110, 99] + [99.0] * 20), 0.5)
    assert slow[:3].tolist() == [100, 105, 102]
    unknown = [NO] * 9
    assert known(table["macd_1_3_1"]) == near([*unknown, *(99 - slow[9:])])
    assert table["macd_signal_1_3_1"].equals(table["macd_1_3_1"])
    assert known(table["rel_macd_1_3_1"]) == near([*unknown, *(1 - slow[9:] / 99)])
    assert known(table["rel_macd_hist_1_3_1"]) == near(unknown + [0.0] * 14)


def test_a_value_is_known_from_this_row_on() -> None:
    bars = sample().filter(pl.col("symbol") == "IBM")
    table = features(bars, {}, None, DEFAULT)
    nulls = {name: table[name].null_count() for name in definitions(DEFAULT, [])}
    assert nulls == {
        "volume": 0,
        **{f"return_lag{lag}": lag for lag in (1, 2, 3, 4, 5)},
        **{f"mom_{window}": window for window in (7, 21, 63, 252)},
        "vol_14": 14,
        "vol_63": 63,
        "ewma_vol_94": 98,
        **{f"range_{window}": window - 1 for window in (1, 5, 21, 63)},
        "vol_252": 252,
        "dist_high_252": 251,
        "relative_volume_21": 20,
        # An average of n - 1 bars before t needs n; an exponential one log(0.0025) / log(1 - a).
        "sma_7": 6,
        "dist_sma_7": 6,
        "sma_21": 20,
        "dist_sma_21": 20,
        "ema_12": 36,
        "dist_ema_12": 36,
        "ema_26": 78,
        "dist_ema_26": 78,
        "rsi_14": 82,
        "macd_12_26_9": 78,
        "macd_signal_12_26_9": 78 + 27,
        "rel_macd_12_26_9": 78,
        "rel_macd_hist_12_26_9": 78 + 27,
        "bb_upper_20": 19,
        "bb_lower_20": 19,
        "bb_position_20": 19,
        "bb_width_20": 19,
        "atr_14": 82,
        "rel_atr_14": 82,
        "day_of_week": 0,
        "month": 0,
        "hourly_volatility": len(bars),
    }
    for name in nulls:
        assert table[name].is_null()[: nulls[name]].all(), f"{name}: a null after its first value"


def test_flat_prices_have_no_spread_and_stand_in_the_middle() -> None:
    """Also after moves: nothing of them lingers."""
    rng = np.random.default_rng(1)
    close = np.append(100 * np.exp(np.cumsum(rng.normal(0, 0.1, 300))), np.full(400, 49.99))
    settings = feature_params(
        volatility=[14], bollinger=[20], rsi=[14], sma=[20], atr=[14], lags=[1]
    )
    newest = features(daily("S", close), {}, None, settings).row(-1, named=True)
    assert newest["vol_14"] == 0
    assert newest["bb_width_20"] == 0
    assert newest["bb_position_20"] == 0.5
    assert newest["dist_sma_20"] == pytest.approx(0, abs=1e-12)
    assert newest["rsi_14"] == 50
    assert newest["rel_atr_14"] == pytest.approx(0, abs=1e-12)
    assert newest["return_lag1"] == 0


def test_a_spread_forgets_a_fall_by_six_orders_of_magnitude() -> None:
    rng = np.random.default_rng(1)
    close = np.append(rng.normal(1e6, 1e5, 300), rng.normal(1, 0.01, 100))
    ours = column(daily("S", close), feature_params(bollinger=[20]), "bb_width_20")
    upper, middle, lower = talib.BBANDS(close[300:], 20, 2.0, 2.0)
    np.testing.assert_allclose(ours[319:], ((upper - lower) / middle)[19:], rtol=TOLERANCE)


def test_where_nothing_is_traded_relative_volume_is_0() -> None:
    volume = [5.0, 0.0, 0.0, 0.0, 6.0]
    bars = daily("S", [1.0] * 5, volume=volume)
    table = features(bars, {}, None, feature_params(relative_volume=[2]))["relative_volume_2"]
    assert table.to_list() == [None, 0, 0, 0, 2]


def test_without_a_volume_its_features_are_empty_and_no_others() -> None:
    quiet, traded = (
        daily("S", [1.0, 1.5, 1.2, 1.3], volume=[volume] * 4) for volume in (math.nan, 5.0)
    )
    params = feature_params(relative_volume=[2], sma=[2])
    empty, usual = (features(bars, {}, None, params) for bars in (quiet, traded))
    assert empty.select("volume", "relative_volume_2").null_count().row(0) == (4, 4)
    assert empty["sma_2"].to_list() == usual["sma_2"].to_list()


@pytest.mark.parametrize("statistic", ["mean", "std"])
def test_an_unknown_volume_touches_only_the_windows_that_hold_it(statistic: str) -> None:
    volume = [1.0, 2.0, math.nan, 4.0, 5.0, 6.0]
    panel = Panel.of(daily("S", [1.0] * 6, volume=volume), {})
    values = getattr(panel, statistic)("volume", 2)
    assert np.isnan(values).tolist() == [True, False, True, True, False, False]


# Market series


def market(closes: list[float], days: list[int]) -> dict[str, pl.DataFrame]:
    dates = [START + timedelta(days=day) for day in days]
    return {"index": daily("index", [1.0] * len(closes), dates, adj_close=closes)}


def market_lags(
    days: list[int], series: dict[str, pl.DataFrame], lag: int, *, same_session: bool = True
) -> Array:
    bars = daily("S", [1.0] * len(days), [START + timedelta(days=day) for day in days])
    settings = feature_params(market_lags=[lag], market_same_session=same_session)
    return known(features(bars, series, None, settings)[f"index_return_lag{lag}"])


# Returns of 10%, 20%, 50% and -50% on days 1, 2, 5 and 6.
SERIES = market([100, 110, 132, 198, 99], [0, 1, 2, 5, 6])


def test_a_market_return_is_the_newest_known_at_the_close_of_the_day() -> None:
    days = [0, 1, 2, 3, 4, 5, 6, 13, 14]
    assert market_lags(days, SERIES, 1) == near([NO, 0.1, 0.2, 0.2, 0.2, 0.5, -0.5, -0.5, NO])
    assert market_lags(days, SERIES, 2) == near([NO, NO, 0.1, 0.1, 0.1, 0.2, 0.5, 0.5, NO])
    assert market_lags(days, SERIES, 4) == near([NO, NO, NO, NO, NO, NO, 0.1, 0.1, NO])
    assert market_lags(days, SERIES, 5) == near([NO] * 9)


def test_a_market_that_closes_later_is_known_strictly_earlier() -> None:
    days = [0, 1, 2, 3, 4, 5, 6, 7, 13, 14]
    assert market_lags(days, SERIES, 1, same_session=False) == near(
        [NO, NO, 0.1, 0.2, 0.2, 0.2, 0.5, -0.5, -0.5, NO]
    )


def test_a_market_bar_is_stale_after_a_week() -> None:
    series = market([100, 110], [0, 1])
    assert market_lags([8], series, 1) == near([0.1])
    assert market_lags([9], series, 1) == near([NO])
    # A gap before the newest bar does not matter: that one is fresh.
    assert market_lags([301], market([100, 110, 121], [0, 1, 300]), 2) == near([0.1])


def test_days_before_the_market_and_a_market_without_bars_know_nothing() -> None:
    assert market_lags([0, 1], market([100, 110], [5, 6]), 1) == near([NO, NO])
    assert market_lags([0, 1], market([], []), 1) == near([NO, NO])
    assert market_lags([0, 1], market([100], [0]), 1) == near([NO, NO])


@given(
    days=st.lists(st.integers(0, 40), min_size=1, max_size=15, unique=True).map(sorted),
    theirs=st.lists(st.integers(0, 40), min_size=1, max_size=15, unique=True).map(sorted),
    lag=st.integers(1, 3),
    same_session=st.booleans(),
)
@examples(60)
def test_market_lags_are_what_looking_row_by_row_finds(
    days: list[int], theirs: list[int], lag: int, same_session: bool
) -> None:
    closes = [100.0 * 1.01 ** (day * day % 7) for day in theirs]
    expected = []
    for day in days:
        known = [i for i, other in enumerate(theirs) if other < day + same_session]
        row = len(known) - lag
        usable = row >= 1 and day - theirs[known[-1]] <= 7
        expected.append(closes[row] / closes[row - 1] - 1 if usable else NO)
    table = market_lags(days, market(closes, theirs), lag, same_session=same_session)
    assert table == near(expected)


def levels(
    days: list[int], values: list[float], theirs: list[int], *, same_session: bool = True
) -> pl.DataFrame:
    bars = daily("S", [1.0] * len(days), [START + timedelta(days=day) for day in days])
    settings = feature_params(market_lags=[1, 2], market_same_session=same_session)
    return features(bars, market(values, theirs), None, settings, levels=["index"])


def test_a_level_and_its_changes_are_the_newest_known_at_the_close_of_the_day() -> None:
    table = levels([0, 1, 2, 3, 5, 6, 13, 14], [20, 44, -1, 0, 5], [0, 1, 2, 5, 6])
    assert table.columns[-3:] == ["index_level", "index_change_lag1", "index_change_lag2"]
    assert known(table["index_level"]) == near([20, 44, -1, -1, 0, 5, 5, NO])
    assert known(table["index_change_lag1"]) == near([NO, 24, -45, -45, 1, 5, 5, NO])
    assert known(table["index_change_lag2"]) == near([NO, NO, 24, 24, -45, 1, 1, NO])


def test_a_level_of_a_market_that_closes_later_is_known_strictly_earlier() -> None:
    table = levels([0, 1, 2, 7, 8, 9], [20, 44], [0, 1], same_session=False)
    assert known(table["index_level"]) == near([NO, 20, 44, 44, 44, NO])
    assert known(table["index_change_lag1"]) == near([NO, NO, 24, 24, 24, NO])


def test_days_before_a_level_and_a_level_without_bars_know_nothing() -> None:
    for values, theirs in (([5.0], [3]), ([], [])):
        table = levels([0, 1], values, theirs)
        assert known(table["index_level"]) == near([NO, NO])


@pytest.mark.parametrize("lags", [[], [1, 3]])
def test_the_bars_of_a_level_that_are_kept_give_the_newest_row_of_all_of_them(
    lags: list[int],
) -> None:
    """Even where the level is ahead of the symbol by a week."""
    settings = feature_params(market_lags=lags)
    days = [START + timedelta(days=i) for i in range(60)]
    series = daily("vix", [20.0 + i % 7 - i % 5 for i in range(60)], days)
    keep = lookback(settings, ["vix"], ["vix"])
    for newest in days[52:]:
        bars = daily("S", [1.0], [newest])
        whole, part = (
            features(bars, {"vix": each}, None, settings, levels=["vix"])
            for each in (series, series.tail(keep))
        )
        assert part.equals(whole)
        assert whole["vix_level"].null_count() == 0


# How far back a feature looks


def newest_row(bars: pl.DataFrame, settings: FeatureParams, names: list[str], keep: int) -> Array:
    """The newest row's features when no more than `keep` bars of each series are known."""
    market = {
        name: random_daily(np.random.default_rng(5), name, bars.height)
        .with_columns(date=bars["date"])
        .tail(keep)
        for name in names
    }
    table = features(bars.tail(keep), market, None, settings).tail(1)
    return np.array([known(table[name])[0] for name in definitions(settings, names)])


def same_newest(bars: pl.DataFrame, settings: FeatureParams, names: list[str]) -> None:
    whole = newest_row(bars, settings, names, bars.height)
    part = newest_row(bars, settings, names, lookback(settings, names))
    columns = list(definitions(settings, names))
    # Differences of averages are judged by what they are differences of.
    level = [bars["close"][-1] if name.startswith("macd") else 1e-2 for name in columns]
    near_enough = np.isclose(part, whole, TOLERANCE, TOLERANCE * np.array(level), equal_nan=True)
    assert near_enough.all(), {
        name: (part[i], whole[i]) for i, name in enumerate(columns) if not near_enough[i]
    }
    assert {columns[i] for i in np.flatnonzero(np.isnan(whole))} <= {"hourly_volatility"}


def test_the_default_lookback() -> None:
    """A weight of 0.94 to the power of bars falls below 1e-12."""
    assert NEGLIGIBLE == 1e-12
    assert lookback(DEFAULT, MARKET) == 1 + 1 + 447
    # 26 and 9 bars of MACD: the first weighs less than 1e-12, and what it had less than 1 percent.
    assert lookback(feature_params(macd=[(12, 26, 9)]), []) == 1 + 360 + 27
    assert lookback(feature_params(), []) == 1
    assert lookback(feature_params(lags=[3], sma=[9]), []) == 9
    assert lookback(feature_params(rsi=[1]), []) == 2


@pytest.mark.parametrize("symbol", ["AAPL", "GOOG", "IBM", "MSFT"])
@pytest.mark.parametrize("until", [600, 1500, 2148])
def test_the_past_of_real_bars_may_be_cut(symbol: str, until: int) -> None:
    same_newest(sample().filter(pl.col("symbol") == symbol).head(until), DEFAULT, MARKET)


@pytest.mark.parametrize("fall", [1e-4, 1e-2, 1.0, 1e2, 1e4])
@pytest.mark.parametrize("ago", [1, 20, 100, 300, 370, 386, 387, 388, 390])
def test_the_past_may_be_cut_whenever_the_price_level_changed(fall: float, ago: int) -> None:
    rng = np.random.default_rng(ago)
    moves = rng.normal(0, 0.03, 900)
    moves[-ago] += math.log(fall)
    close = 1000 * np.exp(np.cumsum(moves))
    high, low = close * (1 + rng.random(900) / 20), close * (1 - rng.random(900) / 20)
    volume = np.round(np.exp(rng.normal(8, 2, 900))) / np.where(np.arange(900) < 900 - ago, 1, fall)
    same_newest(daily("S", close, high=high, low=low, volume=volume), DEFAULT, MARKET)


@pytest.mark.parametrize("still", [1, 15, 100, 150, 200, 260, 300, 380, 387, 500])
def test_the_past_may_be_cut_after_the_price_stood_still(still: int) -> None:
    rng = np.random.default_rng(still)
    moves = np.append(rng.normal(0, 0.03, 900 - still), np.zeros(still))
    same_newest(daily("S", 20 * np.exp(np.cumsum(moves))), DEFAULT, MARKET)


@given(seed=st.integers(0, 2**32), rows=st.integers(120, 200))
@examples(40)
def test_the_past_of_random_bars_may_be_cut(seed: int, rows: int) -> None:
    same_newest(random_daily(np.random.default_rng(seed), "S", rows), small(), ["index"])


FAMILIES: dict[str, Callable[[int], dict[str, Any]]] = {
    "lags": lambda w: {"lags": [w]},
    "sma": lambda w: {"sma": [w]},
    "momentum": lambda w: {"momentum": [w]},
    "volatility": lambda w: {"volatility": [w]},
    "ewma_volatility": lambda w: {"ewma_volatility": [10 * w]},
    "high": lambda w: {"high": [w]},
    "relative_volume": lambda w: {"relative_volume": [w]},
    "range": lambda w: {"range": [w]},
    "bollinger": lambda w: {"bollinger": [w]},
    "rsi": lambda w: {"rsi": [w]},
    "atr": lambda w: {"atr": [w]},
    "ema": lambda w: {"ema": [w]},
    "macd": lambda w: {"macd": [(w, w + 3, 4)]},
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("window", [1, 2, 9])
def test_a_feature_says_how_many_bars_before_it_depends_on(family: str, window: int) -> None:
    window = max(window, 2) if family in {"volatility", "bollinger"} else window
    settings = feature_params(**FAMILIES[family](window))
    rng = np.random.default_rng(3)
    close = np.exp(np.cumsum(rng.normal(0, 0.1, 700)))
    bars = daily("S", close, low=close * 0.9, volume=np.exp(rng.normal(0, 1, 700)))
    for name, feature in definitions(settings, []).items():
        whole = features(bars, {}, None, settings)[name][-1]
        enough = features(bars.tail(feature.memory + 1), {}, None, settings)[name][-1]
        assert enough == pytest.approx(whole, rel=TOLERANCE, abs=1e-9), name
        if feature.memory:
            short = features(bars.tail(feature.memory), {}, None, settings)[name][-1]
            exponential = family in {"macd", "ewma_volatility"} or (
                family in {"rsi", "atr", "ema"} and window > 1
            )
            assert (short is None) != exponential, f"{name}: one bar less would do as well"


def test_a_symbol_may_lag_its_market_by_a_week() -> None:
    """The market's newest bars are of no use to it, and may not crowd out those that are."""
    settings = feature_params(market_lags=[1, 3])
    keep = lookback(settings, ["index"])
    series = (
        random_bars(1, [60])
        .market["index"]
        .with_columns(date=pl.Series([START + timedelta(days=i) for i in range(60)]))
    )
    bars = daily("S", [1.0], [START + timedelta(days=52)])
    whole = features(bars, {"index": series}, None, settings)
    part = features(bars, {"index": series.tail(keep)}, None, settings)
    assert part.equals(whole)
    assert whole["index_return_lag3"].null_count() == 0


def test_calendar_fields_of_the_turn_of_a_year() -> None:
    fields = ["day_of_week", "day_of_month", "month", "week_of_year", "quarter"]
    bars = daily("S", [1.0, 1.0], [date(2010, 12, 31), date(2011, 1, 3)])
    table = features(bars, {}, None, feature_params(calendar=fields)).select(fields)
    # ISO weeks: the Friday is in week 52, the Monday in week 1.
    assert table.rows() == [(5, 31, 12, 52, 4), (1, 3, 1, 1, 1)]
