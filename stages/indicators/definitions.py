"""The features of a bar, each defined once: its name, how it is computed, how far it looks back.

A feature of row t uses rows up to t only. Prices enter adjusted for splits and dividends;
levels (`sma_7`, `atr_14`, ...) leave in the traded price of day t, everything else is
scale-free, so that one model can learn from all symbols together. Training, serving and the
benchmarks all come through `definitions`.

Sources: J. W. Wilder, New Concepts in Technical Trading Systems, 1978 (RSI, ATR); J. Bollinger,
Bollinger on Bollinger Bands, 2001; G. Appel, Technical Analysis, 2005 (MACD).
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import coreforecast.lag_transforms as kernels
import numpy as np
import numpy.typing as npt
import polars as pl
from coreforecast.grouped_array import GroupedArray

from stages.indicators import windows
from stages.indicators.days import STALE_DAYS, Dates, Days

if TYPE_CHECKING:
    from stages.params import FeatureParams

Array = npt.NDArray[np.float64]
_T = TypeVar("_T")

SEED_WEIGHT = 0.0025
"""An exponential average is given once its first bar weighs less than this."""

NEGLIGIBLE = 1e-12
"""Bars that weigh less than this in every exponential average may be cut off (`lookback`), so that
even after a fall to a millionth of the former price nothing of them shows."""

UNMOVED = 1e-7
"""A price that moves less than this share of itself a bar, smoothed, has not moved."""


_COLUMNS = ("open", "high", "low", "close", "adj_close", "volume")


class Feature(NamedTuple):
    """How a column is computed, and how many bars before t its value at t depends on."""

    compute: Callable[["Panel"], Array]
    memory: int


@dataclass(frozen=True, eq=False)
class Rows:
    """Bars of whole symbols, sorted by (symbol, date), as arrays of shape (rows,).

    Attributes:
        columns: open to volume and `adj_close`, by name.
        dates: days since 1970-01-01.
        hourly_volatility: realised volatility, NaN where a symbol has no hourly bars.
        bounds: the first row of each symbol, and the number of rows.
    """

    columns: Mapping[str, Array]
    dates: Dates
    hourly_volatility: Array
    bounds: npt.NDArray[np.int32]

    @classmethod
    def of(cls, bars: pl.DataFrame, hourly_volatility: Array | None) -> "Rows":
        """Take a table in the columns of `tables.CLEAN_DAILY`."""
        symbols = bars["symbol"]
        changes = np.flatnonzero((symbols[1:] != symbols[:-1]).to_numpy()) + 1
        return cls(
            {name: bars[name].to_numpy() for name in _COLUMNS},
            bars["date"].to_physical().to_numpy(),
            np.full(bars.height, np.nan) if hourly_volatility is None else hourly_volatility,
            np.unique(np.concatenate(([0], changes, [bars.height]))).astype(np.int32),
        )

    def symbols(self, first: int, last: int) -> "Rows":
        """The rows of some symbols, by their number."""
        rows = slice(self.bounds[first], self.bounds[last])
        return Rows(
            {name: values[rows] for name, values in self.columns.items()},
            self.dates[rows],
            self.hourly_volatility[rows],
            self.bounds[first : last + 1] - self.bounds[first],
        )


class Panel:
    """What features are computed from.

    Every kernel starts anew at a symbol's first bar, so a symbol's values do not depend on its
    neighbours. Results are kept, so that columns share what they have in common.

    Args:
        rows: the bars.
        days: what their dates tell.
    """

    def __init__(self, rows: Rows, days: Days) -> None:
        self._rows = rows
        self._days = days
        self._kept: dict[Any, Any] = {}

    @classmethod
    def of(
        cls,
        bars: pl.DataFrame,
        market: Mapping[str, pl.DataFrame],
        hourly_volatility: Array | None = None,
        *,
        market_same_session: bool = True,
    ) -> "Panel":
        """Take tables in the columns of `tables.CLEAN_DAILY`.

        Args:
            bars: whole symbols, sorted by (symbol, date).
            market: per series, its bars, sorted by date.
            hourly_volatility: see `Rows`; None where no symbol has hourly bars.
            market_same_session: whether the market's bar of day t is known at t.
        """
        rows = Rows.of(bars, hourly_volatility)
        return cls(rows, Days(rows.dates, market, market_same_session=market_same_session))

    def blocks(self, rows: int) -> Iterator[tuple[slice, "Panel"]]:
        """Panels of neighbouring symbols, at least so many rows each, and where their rows are.

        The last one may be smaller.
        """
        bounds = self._rows.bounds.tolist()
        first, end = 0, len(bounds) - 1
        while first < end:
            last = min(bisect_left(bounds, bounds[first] + rows), end)
            part = self._rows.symbols(first, last)
            yield slice(bounds[first], bounds[last]), Panel(part, self._days)
            first = last

    def series(self, name: str) -> Array:
        """A price, volume or return series, adjusted; see the methods `_<name>`."""
        if name not in self._kept:
            self._kept[name] = getattr(self, f"_{name}")()
        values: Array = self._kept[name]
        return values

    def lag(self, name: str, bars: int) -> Array:
        """The series `bars` rows earlier in the same symbol; NaN before its first."""
        return self._kernel(kernels.Lag(bars), name)

    def mean(self, name: str, window: int) -> Array:
        """Simple moving average; NaN before the first whole window."""
        return self._window(windows.mean, name, window)

    def std(self, name: str, window: int) -> Array:
        """Moving standard deviation with n - 1 in the denominator; NaN as in `mean`."""
        return self._window(windows.std, name, window)

    def smooth(self, name: str, alpha: float) -> Array:
        """Exponential average s_t = alpha x_t + (1 - alpha) s_(t-1), seeded by the first bar."""
        return self._kernel(kernels.ExponentiallyWeightedMean(0, alpha), name)

    def known(self, values: Array, after: int) -> Array:
        """The values with NaN in the first `after` rows of each symbol."""
        return self._blank(values.copy(), after)

    def market_return(self, name: str, lag: int) -> Array:
        """Return of a market series, as of each row's date, `lag - 1` of its sessions earlier."""
        return self._days.market_return(name, lag, self._rows.dates)

    def calendar(self, field: str) -> Array:
        """A number that the date alone gives, such as `day_of_week` (Monday is 1)."""
        return self._days.calendar(field, self._rows.dates)

    def hourly_volatility(self) -> Array:
        """Realised volatility of the session's hourly bars, NaN where there are none."""
        return self._rows.hourly_volatility

    def keep(self, key: Any, compute: Callable[[], _T]) -> _T:
        """Compute a series once; under a plain name it can be used like the built-in ones."""
        if key not in self._kept:
            self._kept[key] = compute()
        kept: _T = self._kept[key]
        return kept

    def _kernel(self, transform: Any, name: str) -> Array:
        def compute() -> Array:
            grouped = GroupedArray(self.series(name), self._rows.bounds)
            values: Array = transform.transform(grouped)
            return values

        key = (type(transform).__name__, name, *sorted(vars(transform).items()))
        return self.keep(key, compute)

    def _window(self, statistic: Callable[[Array, int], Array], name: str, window: int) -> Array:
        def compute() -> Array:
            return self._blank(statistic(self.series(name), window), window - 1)

        return self.keep((statistic.__name__, name, window), compute)

    def _blank(self, values: Array, count: int) -> Array:
        """Put NaN into the first `count` rows of each symbol, in place."""
        values[self.keep(("first", count), lambda: self._first(count))] = np.nan
        return values

    def _first(self, count: int) -> npt.NDArray[np.intp]:
        starts, ends = self._rows.bounds[:-1, np.newaxis], self._rows.bounds[1:, np.newaxis]
        rows = starts + np.arange(count)
        return rows[rows < ends]

    def column(self, name: str) -> Array:
        """A column of the bars as traded."""
        return self._rows.columns[name]

    def _close(self) -> Array:
        return self.column("adj_close")

    def _factor(self) -> Array:
        """Adjusted over traded price: today's shares for one share of the first bar."""
        return self.column("adj_close") / self.column("close")

    def _high(self) -> Array:
        return self.column("high") * self.series("factor")

    def _low(self) -> Array:
        return self.column("low") * self.series("factor")

    def _volume(self) -> Array:
        return self.column("volume") / self.series("factor")

    def _previous(self) -> Array:
        return self.lag("close", 1)

    def _return(self) -> Array:
        return self.series("close") / self.series("previous") - 1

    def _change(self) -> Array:
        change = self.series("close") - self.series("previous")
        change[self._rows.bounds[:-1]] = 0.0
        return change

    def _gain(self) -> Array:
        return np.maximum(self.series("change"), 0.0)

    def _loss(self) -> Array:
        return np.maximum(-self.series("change"), 0.0)

    def _true_range(self) -> Array:
        high, low, previous = self.series("high"), self.series("low"), self.series("previous")
        return np.fmax(high, previous) - np.fmin(low, previous)


def definitions(params: "FeatureParams", market: Sequence[str]) -> dict[str, Feature]:
    """Every feature that `params.yaml` asks for, by column name, in column order."""
    return {
        "volume": Feature(_traded_volume, 0),
        **_returns(params),
        **_averages(params),
        **_oscillators(params),
        **_ranges(params),
        **_context(params, market),
    }


def _returns(params: "FeatureParams") -> dict[str, Feature]:
    made = {f"return_lag{k}": Feature(partial(_return_lag, lag=k), k) for k in params.lags}
    for w in params.momentum:
        made[f"mom_{w}"] = Feature(partial(_momentum, window=w), w)
    for w in params.volatility:
        made[f"vol_{w}"] = Feature(partial(_volatility, window=w), w)
    for w in params.relative_volume:
        made[f"relative_volume_{w}"] = Feature(partial(_relative_volume, window=w), w - 1)
    return made


def _averages(params: "FeatureParams") -> dict[str, Feature]:
    made = {}
    for kind, average, spans, memory in (
        ("sma", _sma, params.sma, lambda window: window - 1),
        ("ema", _ema, params.ema, _tail),
    ):
        for w in spans:
            values = partial(average, window=w)
            made[f"{kind}_{w}"] = Feature(partial(_level, compute=values), memory(w))
            made[f"dist_{kind}_{w}"] = Feature(partial(_distance, compute=values), memory(w))
    return made


def _oscillators(params: "FeatureParams") -> dict[str, Feature]:
    made = {}
    for w in params.rsi:
        made[f"rsi_{w}"] = Feature(partial(_rsi, window=w), 1 + _tail(_wilder(w)))
    for fast, slow, signal in params.macd:
        spans = f"{fast}_{slow}_{signal}"
        line = partial(_macd, fast=fast, slow=slow)
        trigger = partial(_macd_signal, fast=fast, slow=slow, signal=signal)
        histogram = partial(_macd_histogram, fast=fast, slow=slow, signal=signal)
        memory = _tail(max(slow, signal)) + _warm_up(min(slow, signal))
        made[f"macd_{spans}"] = Feature(partial(_level, compute=line), memory)
        made[f"macd_signal_{spans}"] = Feature(partial(_level, compute=trigger), memory)
        made[f"rel_macd_{spans}"] = Feature(partial(_relative, compute=line), memory)
        made[f"rel_macd_hist_{spans}"] = Feature(partial(_relative, compute=histogram), memory)
    return made


def _ranges(params: "FeatureParams") -> dict[str, Feature]:
    made = {}
    for w in params.bollinger:
        band = partial(_band, window=w, width=params.bollinger_width)
        made[f"bb_upper_{w}"] = Feature(partial(_level, compute=partial(band, side=1)), w - 1)
        made[f"bb_lower_{w}"] = Feature(partial(_level, compute=partial(band, side=-1)), w - 1)
        made[f"bb_position_{w}"] = Feature(partial(_band_position, band=band), w - 1)
        made[f"bb_width_{w}"] = Feature(partial(_band_width, band=band, window=w), w - 1)
    for w in params.atr:
        values, memory = partial(_atr, window=w), 1 + _tail(_wilder(w))
        made[f"atr_{w}"] = Feature(partial(_level, compute=values), memory)
        made[f"rel_atr_{w}"] = Feature(partial(_relative, compute=values), memory)
    return made


def _context(params: "FeatureParams", market: Sequence[str]) -> dict[str, Feature]:
    # A market series may be ahead of the symbol by bars that say nothing of today yet.
    made = {
        f"{name}_return_lag{k}": Feature(partial(_market_lag, name=name, lag=k), k + STALE_DAYS)
        for name in market
        for k in params.market_lags
    }
    for field in params.calendar:
        made[field] = Feature(partial(_calendar, field=field), 0)
    if params.hourly_volatility:
        made["hourly_volatility"] = Feature(Panel.hourly_volatility, 0)
    return made


def lookback(params: "FeatureParams", market: Sequence[str]) -> int:
    """Bars to keep so that the newest row's features equal those of the whole history."""
    return 1 + max(feature.memory for feature in definitions(params, market).values())


def _alpha(span: int) -> float:
    return 2.0 / (span + 1)


def _wilder(window: int) -> int:
    """The span whose alpha is 1 / window, as Wilder smooths."""
    return 2 * window - 1


def _steps(span: int, weight: float) -> int:
    """Bars after which the first bar of an exponential average weighs less than `weight`."""
    alpha = _alpha(span)
    return 0 if alpha == 1 else math.ceil(math.log(weight) / math.log1p(-alpha))


def _warm_up(span: int) -> int:
    return _steps(span, SEED_WEIGHT)


def _tail(span: int) -> int:
    return _steps(span, NEGLIGIBLE)


def _level(panel: Panel, compute: Callable[[Panel], Array]) -> Array:
    """A price level in the traded price of its own day."""
    return compute(panel) / panel.series("factor")


def _relative(panel: Panel, compute: Callable[[Panel], Array]) -> Array:
    return compute(panel) / panel.series("close")


def _distance(panel: Panel, compute: Callable[[Panel], Array]) -> Array:
    return panel.series("close") / compute(panel) - 1


def _traded_volume(panel: Panel) -> Array:
    return panel.column("volume")


def _return_lag(panel: Panel, lag: int) -> Array:
    """Return of the session `lag - 1` before t: lag 1 ends at t and is the newest known."""
    return panel.series("return") if lag == 1 else panel.lag("return", lag - 1)


def _sma(panel: Panel, window: int) -> Array:
    return panel.mean("close", window)


def _ema(panel: Panel, window: int) -> Array:
    return panel.known(panel.smooth("close", _alpha(window)), _warm_up(window))


def _momentum(panel: Panel, window: int) -> Array:
    return panel.series("close") / panel.lag("close", window) - 1


def _volatility(panel: Panel, window: int) -> Array:
    return panel.std("return", window)


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


def _market_lag(panel: Panel, name: str, lag: int) -> Array:
    return panel.market_return(name, lag)


def _calendar(panel: Panel, field: str) -> Array:
    return panel.calendar(field)
