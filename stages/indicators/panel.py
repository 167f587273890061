"""Bars of many symbols as arrays, and the series that features share.

Prices enter adjusted for splits and dividends. A value of row t uses rows up to t only.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

import coreforecast.lag_transforms as kernels
import numpy as np
import numpy.typing as npt
import polars as pl
from coreforecast.grouped_array import GroupedArray

from stages.indicators import windows
from stages.indicators.days import Dates, Days, LevelOf

Array = npt.NDArray[np.float64]
_T = TypeVar("_T")

_COLUMNS = ("open", "high", "low", "close", "adj_close", "volume")


@dataclass(frozen=True, eq=False)
class Rows:
    """Bars of whole symbols, sorted by (symbol, date), as arrays of shape (rows,).

    Attributes:
        columns: open to volume and `adj_close`, by name.
        dates: days since 1970-01-01.
        hourly_volatility: realised volatility, NaN where a symbol has no hourly bars.
        bounds: the first row of each symbol, and the number of rows.
        names: of the symbols.
    """

    columns: Mapping[str, Array]
    dates: Dates
    hourly_volatility: Array
    bounds: npt.NDArray[np.int32]
    names: Sequence[str]

    @classmethod
    def of(cls, bars: pl.DataFrame, hourly_volatility: Array | None) -> "Rows":
        """Take a table in the columns of `tables.CLEAN_DAILY`."""
        symbols = bars["symbol"]
        changes = np.flatnonzero((symbols[1:] != symbols[:-1]).to_numpy()) + 1
        bounds = np.unique(np.concatenate(([0], changes, [bars.height]))).astype(np.int32)
        return cls(
            {name: bars[name].to_numpy() for name in _COLUMNS},
            bars["date"].to_physical().to_numpy(),
            np.full(bars.height, np.nan) if hourly_volatility is None else hourly_volatility,
            bounds,
            symbols[bounds[:-1]].to_list(),
        )

    def symbols(self, first: int, last: int) -> "Rows":
        """The rows of some symbols, by their number."""
        rows = slice(self.bounds[first], self.bounds[last])
        return Rows(
            {name: values[rows] for name, values in self.columns.items()},
            self.dates[rows],
            self.hourly_volatility[rows],
            self.bounds[first : last + 1] - self.bounds[first],
            self.names[first:last],
        )


class Panel:
    """What features are computed from.

    Every kernel restarts at a symbol's first bar, so a symbol's values do not depend on its
    neighbours. Results are kept, so that columns share what they have in common.

    Args:
        rows: the bars.
        days: what their dates tell.
    """

    def __init__(self, rows: Rows, days: Days) -> None:
        self._rows = rows
        self._days = days
        self._cache: dict[Any, Any] = {}

    @classmethod
    def of(
        cls,
        bars: pl.DataFrame,
        market: Mapping[str, pl.DataFrame],
        hourly_volatility: Array | None = None,
        of_symbols: Mapping[LevelOf, pl.DataFrame] | None = None,
        *,
        market_same_session: bool = True,
    ) -> "Panel":
        """Take tables in the columns of `tables.CLEAN_DAILY`.

        Args:
            bars: whole symbols, sorted by (symbol, date).
            market: per series, its bars, sorted by date.
            hourly_volatility: see `Rows`; None where no symbol has hourly bars.
            of_symbols: see `Days`.
            market_same_session: whether the market's bar of day t is known at t.
        """
        rows = Rows.of(bars, hourly_volatility)
        days = Days(rows.dates, market, of_symbols or {}, market_same_session=market_same_session)
        return cls(rows, days)

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
        if name not in self._cache:
            self._cache[name] = getattr(self, f"_{name}")()
        values: Array = self._cache[name]
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

    def highest(self, name: str, window: int) -> Array:
        """Moving maximum; NaN as in `mean`."""
        return self._window(windows.maximum, name, window)

    def smooth(self, name: str, alpha: float) -> Array:
        """Exponential average s_t = alpha x_t + (1 - alpha) s_(t-1), seeded by the first bar."""
        return self._kernel(kernels.ExponentiallyWeightedMean(0, alpha), name)

    def known(self, values: Array, after: int) -> Array:
        """The values with NaN in the first `after` rows of each symbol."""
        return self._blank(values.copy(), after)

    def market_return(self, name: str, lag: int) -> Array:
        """Return of a market series, as of each row's date, `lag - 1` of its sessions earlier."""
        return self._days.market_return(name, lag, self._rows.dates)

    def market_level(self, name: str) -> Array:
        """Newest value of a market series that each row's date knows."""
        return self._days.level(name, self._rows.dates)

    def market_change(self, name: str, lag: int) -> Array:
        """Rise of a market series, as of each row's date, `lag - 1` of its sessions earlier."""
        return self._days.change(name, lag, self._rows.dates)

    def symbol_level(self, name: str) -> Array:
        """Newest value of a level for the row's symbol that its date knows."""
        return self._by_symbol(lambda symbol, dates: self._days.level((name, symbol), dates))

    def symbol_change(self, name: str, lag: int) -> Array:
        """Rise of a level for the row's symbol, as of its date, `lag - 1` of its values earlier."""
        return self._by_symbol(lambda symbol, dates: self._days.change((name, symbol), lag, dates))

    def _by_symbol(self, look_up: Callable[[str, Dates], Array]) -> Array:
        dates, bounds = self._rows.dates, self._rows.bounds.tolist()
        values = np.empty(dates.size)
        for symbol, (first, end) in zip(self._rows.names, pairwise(bounds), strict=True):
            values[first:end] = look_up(symbol, dates[first:end])
        return values

    def calendar(self, field: str) -> Array:
        """A number that the date alone gives, such as `day_of_week` (Monday is 1)."""
        return self._days.calendar(field, self._rows.dates)

    def hourly_volatility(self) -> Array:
        """Realised volatility of the session's hourly bars, NaN where there are none."""
        return self._rows.hourly_volatility

    def keep(self, key: Any, compute: Callable[[], _T]) -> _T:
        """Compute a series once; under a plain name it can be used like the built-in ones."""
        if key not in self._cache:
            self._cache[key] = compute()
        values: _T = self._cache[key]
        return values

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

    def _squared_return(self) -> Array:
        squared = self.series("return") ** 2
        squared[self._rows.bounds[:-1]] = 0.0
        return squared

    def _squared_range(self) -> Array:
        return np.log(self.column("high") / self.column("low")) ** 2

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
