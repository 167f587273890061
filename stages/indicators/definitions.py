"""The features of a bar, each defined once: its name, how it is computed, how far it looks back.

A feature of row t uses rows up to t only. Prices enter adjusted for splits and dividends;
levels (`sma_7`, `atr_14`, ...) leave in the traded price of day t, everything else is
scale-free, so that one model can learn from all symbols together. Training, serving and the
benchmarks all come through `definitions`.

Sources: J. W. Wilder, New Concepts in Technical Trading Systems, 1978 (RSI, ATR); J. Bollinger,
Bollinger on Bollinger Bands, 2001; G. Appel, Technical Analysis, 2005 (MACD); M. Parkinson, The
Extreme Value Method for Estimating the Variance of the Rate of Return, 1980 (ranges);
T. George and C.-Y. Hwang, The 52-Week High and Momentum Investing, 2004 (distance from the high).
"""

import math
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from stages.common.tables import STALE_DAYS
from stages.indicators.feature_params import FeatureParams
from stages.indicators.panel import Array, Panel

SEED_WEIGHT = 0.0025
"""An exponential average is null until its first bar weighs less than this."""

NEGLIGIBLE = 1e-12
"""Bars that weigh less than this in every exponential average may be cut off (`lookback`), so that
even after a fall to a millionth of the former price nothing of them shows."""

UNMOVED = 1e-7
"""A price that moves less than this share of itself a bar, smoothed, has not moved."""


class Feature(NamedTuple):
    """How a column is computed, and how many bars before t its value at t depends on."""

    compute: Callable[[Panel], Array]
    memory: int


def definitions(
    params: FeatureParams,
    market: Sequence[str],
    levels: Collection[str] = (),
    symbol_levels: Sequence[str] = (),
) -> dict[str, Feature]:
    """Every feature that `params.yaml` asks for, by column name, in column order.

    Args:
        params: which windows.
        market: the names of the market series.
        levels: those of them that are numbers, not prices.
        symbol_levels: the names of the series that have a number for each symbol.
    """
    return {
        "volume": Feature(partial(Panel.column, name="volume"), 0),
        **_returns(params),
        **_averages(params),
        **_oscillators(params),
        **_ranges(params),
        **_context(params, market, levels, symbol_levels),
    }


def _returns(params: FeatureParams) -> dict[str, Feature]:
    columns = {f"return_lag{k}": Feature(partial(_return_lag, lag=k), k) for k in params.lags}
    for w in params.momentum:
        former = partial(Panel.lag, name="close", bars=w)
        columns[f"mom_{w}"] = Feature(partial(_distance, compute=former), w)
    for w in params.volatility:
        columns[f"vol_{w}"] = Feature(partial(Panel.std, name="return", window=w), w)
    for decay in params.ewma_volatility:
        span = _span(decay)
        columns[f"ewma_vol_{decay}"] = Feature(
            partial(_ewma_volatility, span=span), 1 + _tail(span)
        )
    for w in params.high:
        highest = partial(Panel.highest, name="high", window=w)
        columns[f"dist_high_{w}"] = Feature(partial(_distance, compute=highest), w - 1)
    for w in params.relative_volume:
        columns[f"relative_volume_{w}"] = Feature(partial(_relative_volume, window=w), w - 1)
    return columns


def _averages(params: FeatureParams) -> dict[str, Feature]:
    columns = {}
    for kind, average, spans, memory in (
        ("sma", partial(Panel.mean, name="close"), params.sma, lambda window: window - 1),
        ("ema", _ema, params.ema, _tail),
    ):
        for w in spans:
            values = partial(average, window=w)
            columns[f"{kind}_{w}"] = Feature(partial(_level, compute=values), memory(w))
            columns[f"dist_{kind}_{w}"] = Feature(partial(_distance, compute=values), memory(w))
    return columns


def _oscillators(params: FeatureParams) -> dict[str, Feature]:
    columns = {}
    for w in params.rsi:
        columns[f"rsi_{w}"] = Feature(partial(_rsi, window=w), 1 + _tail(_wilder(w)))
    for fast, slow, signal in params.macd:
        spans = f"{fast}_{slow}_{signal}"
        line = partial(_macd, fast=fast, slow=slow)
        trigger = partial(_macd_signal, fast=fast, slow=slow, signal=signal)
        histogram = partial(_macd_histogram, fast=fast, slow=slow, signal=signal)
        memory = _tail(max(slow, signal)) + _warm_up(min(slow, signal))
        columns[f"macd_{spans}"] = Feature(partial(_level, compute=line), memory)
        columns[f"macd_signal_{spans}"] = Feature(partial(_level, compute=trigger), memory)
        columns[f"rel_macd_{spans}"] = Feature(partial(_relative, compute=line), memory)
        columns[f"rel_macd_hist_{spans}"] = Feature(partial(_relative, compute=histogram), memory)
    return columns


def _ranges(params: FeatureParams) -> dict[str, Feature]:
    columns = {}
    for w in params.bollinger:
        band = partial(_band, window=w, width=params.bollinger_width)
        columns[f"bb_upper_{w}"] = Feature(partial(_level, compute=partial(band, side=1)), w - 1)
        columns[f"bb_lower_{w}"] = Feature(partial(_level, compute=partial(band, side=-1)), w - 1)
        columns[f"bb_position_{w}"] = Feature(partial(_band_position, band=band), w - 1)
        columns[f"bb_width_{w}"] = Feature(partial(_band_width, band=band, window=w), w - 1)
    for w in params.atr:
        values, memory = partial(_atr, window=w), 1 + _tail(_wilder(w))
        columns[f"atr_{w}"] = Feature(partial(_level, compute=values), memory)
        columns[f"rel_atr_{w}"] = Feature(partial(_relative, compute=values), memory)
    for w in params.range:
        columns[f"range_{w}"] = Feature(partial(_range, window=w), w - 1)
    return columns


def _context(
    params: FeatureParams,
    market: Sequence[str],
    levels: Collection[str],
    symbol_levels: Sequence[str],
) -> dict[str, Feature]:
    columns = {}
    # A market series may be ahead of the symbol by bars that say nothing of today yet.
    for name in market:
        move, compute = "return", Panel.market_return
        if name in levels:
            move, compute = "change", Panel.market_change
            columns[f"{name}_level"] = Feature(partial(Panel.market_level, name=name), STALE_DAYS)
        for k in params.market_lags:
            columns[f"{name}_{move}_lag{k}"] = Feature(
                partial(compute, name=name, lag=k), k + STALE_DAYS
            )
    for name in symbol_levels:
        # No bar is needed, only values of the series.
        columns[f"{name}_level"] = Feature(partial(Panel.symbol_level, name=name), 0)
        for k in params.market_lags:
            change = partial(Panel.symbol_change, name=name, lag=k)
            columns[f"{name}_change_lag{k}"] = Feature(change, 0)
    for field in params.calendar:
        columns[field] = Feature(partial(Panel.calendar, field=field), 0)
    if params.hourly_volatility:
        columns["hourly_volatility"] = Feature(Panel.hourly_volatility, 0)
    return columns


def lookback(params: FeatureParams, market: Sequence[str], levels: Collection[str] = ()) -> int:
    """Bars to keep so that the newest row's features equal those of the whole history."""
    return 1 + max(feature.memory for feature in definitions(params, market, levels).values())


def _alpha(span: float) -> float:
    return 2.0 / (span + 1)


def _wilder(window: int) -> int:
    """The span whose alpha is 1 / window, as Wilder smooths."""
    return 2 * window - 1


def _span(decay: int) -> float:
    """The span of an exponential average that keeps `decay` percent of itself from bar to bar."""
    return 200 / (100 - decay) - 1


def _steps(span: float, weight: float) -> int:
    """Bars after which the first bar of an exponential average weighs less than `weight`."""
    alpha = _alpha(span)
    return 0 if alpha == 1 else math.ceil(math.log(weight) / math.log1p(-alpha))


def _warm_up(span: float) -> int:
    return _steps(span, SEED_WEIGHT)


def _tail(span: float) -> int:
    return _steps(span, NEGLIGIBLE)


def _level(panel: Panel, compute: Callable[[Panel], Array]) -> Array:
    """A price level in the traded price of its own day."""
    return compute(panel) / panel.series("factor")


def _relative(panel: Panel, compute: Callable[[Panel], Array]) -> Array:
    return compute(panel) / panel.series("close")


def _distance(panel: Panel, compute: Callable[[Panel], Array]) -> Array:
    """Close over another price, less 1: 0 at that price, negative below it."""
    return panel.series("close") / compute(panel) - 1


def _return_lag(panel: Panel, lag: int) -> Array:
    """Return of the session `lag - 1` before t: lag 1 ends at t and is the newest known."""
    return panel.series("return") if lag == 1 else panel.lag("return", lag - 1)


def _ema(panel: Panel, window: int) -> Array:
    return panel.known(panel.smooth("close", _alpha(window)), _warm_up(window))


def _ewma_volatility(panel: Panel, span: float) -> Array:
    """Root of the exponential average of squared returns (RiskMetrics, 1996)."""
    variance = panel.smooth("squared_return", _alpha(span))
    return panel.known(np.sqrt(variance), 1 + _warm_up(span))


def _range(panel: Panel, window: int) -> Array:
    """Volatility of one session by the sessions' ranges (Parkinson, 1980)."""
    return np.sqrt(panel.mean("squared_range", window) / (4 * math.log(2)))


def _relative_volume(panel: Panel, window: int) -> Array:
    """Volume over its average; 0 where nothing is traded, even if nothing was before."""
    volume, average = panel.series("volume"), panel.mean("volume", window)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = volume / average
    return panel.known(np.where(volume == 0, 0.0, relative), window - 1)


def _rsi(panel: Panel, window: int) -> Array:
    """Wilder's relative strength index, 0 to 100; 50 where the price has not moved."""
    span = _wilder(window)
    gain, loss = (panel.smooth(side, _alpha(span)) for side in ("gain", "loss"))
    moved = gain + loss
    with np.errstate(divide="ignore", invalid="ignore"):
        strength = np.where(moved > UNMOVED * panel.series("close"), 100 * gain / moved, 50.0)
    return panel.known(strength, 1 + _warm_up(span))


def _macd(panel: Panel, fast: int, slow: int) -> Array:
    line = panel.smooth("close", _alpha(fast)) - panel.smooth("close", _alpha(slow))
    return panel.known(line, _warm_up(slow))


def _macd_signal(panel: Panel, fast: int, slow: int, signal: int) -> Array:
    # The average of a difference is the difference of the averages, all seeded by one bar.
    line = f"macd_{fast}_{slow}"
    panel.keep(
        line, lambda: panel.smooth("close", _alpha(fast)) - panel.smooth("close", _alpha(slow))
    )
    return panel.known(panel.smooth(line, _alpha(signal)), _warm_up(slow) + _warm_up(signal))


def _macd_histogram(panel: Panel, fast: int, slow: int, signal: int) -> Array:
    return _macd(panel, fast, slow) - _macd_signal(panel, fast, slow, signal)


def _band(panel: Panel, window: int, width: float, side: int) -> Array:
    population = math.sqrt((window - 1) / window)
    return panel.mean("close", window) + side * width * population * panel.std("close", window)


def _band_position(panel: Panel, band: Callable[..., Array]) -> Array:
    """Where the close stands between the bands: 0 lower, 1 upper, 0.5 where they meet."""
    upper, lower = band(panel, side=1), band(panel, side=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        position = (panel.series("close") - lower) / (upper - lower)
    return np.where(upper == lower, 0.5, position)


def _band_width(panel: Panel, band: Callable[..., Array], window: int) -> Array:
    return (band(panel, side=1) - band(panel, side=-1)) / panel.mean("close", window)


def _atr(panel: Panel, window: int) -> Array:
    span = _wilder(window)
    return panel.known(panel.smooth("true_range", _alpha(span)), 1 + _warm_up(span))
