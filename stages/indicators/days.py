"""What depends on the date alone: calendar fields, and the values of market series as of it."""

from collections.abc import Callable, Hashable, Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from stages.common.tables import STALE_DAYS

Array = npt.NDArray[np.float64]
Dates = npt.NDArray[np.int32]
"""Days since 1970-01-01, as polars stores a date."""

LevelOf = tuple[str, str]
"""A level that has a number for each symbol, and a symbol."""

_NEVER = np.iinfo(np.int32).min


class Days:
    """Computes each value once for every day of the span, and looks rows up by their date.

    Args:
        dates: whose least and greatest bound the span.
        market: per series, its bars in the columns of `tables.CLEAN_DAILY`, sorted by date.
        of_symbols: the same per level and symbol, known on their dates.
        market_same_session: whether the market's bar of a day is known on that day.
    """

    def __init__(
        self,
        dates: Dates,
        market: Mapping[str, pl.DataFrame],
        of_symbols: Mapping[LevelOf, pl.DataFrame],
        *,
        market_same_session: bool,
    ) -> None:
        self._market = market
        self._of_symbols = of_symbols
        self._same_session = market_same_session
        self._first, last = (int(dates.min()), int(dates.max())) if dates.size else (0, -1)
        self._days: Dates = np.arange(self._first, last + 1, dtype=np.int32)
        self._tables: dict[Hashable, Array] = {}

    def calendar(self, field: str, dates: Dates) -> Array:
        """A number that the date gives, such as `day_of_week` (Monday is 1)."""
        return self._at(dates, field, lambda: self._calendar(field))

    def market_return(self, name: str, lag: int, dates: Dates) -> Array:
        """Return of a market series, as of each date, `lag - 1` of its sessions earlier."""
        return self._at(dates, ("return", name, lag), lambda: self._as_of(name, lag, _returns))

    def level(self, name: str | LevelOf, dates: Dates) -> Array:
        """Newest value of a series that each date knows."""
        return self._at(dates, ("level", name), lambda: self._as_of(name, 1, np.array))

    def change(self, name: str | LevelOf, lag: int, dates: Dates) -> Array:
        """Rise of a series, as of each date, `lag - 1` of its values earlier."""
        return self._at(dates, ("change", name, lag), lambda: self._as_of(name, lag, _changes))

    def _at(self, dates: Dates, key: Hashable, compute: Callable[[], Array]) -> Array:
        if key not in self._tables:
            self._tables[key] = compute()
        values: Array = self._tables[key][dates - self._first]
        return values

    def _calendar(self, field: str) -> Array:
        day = pl.col("day").dt
        expression = {
            "day_of_week": day.weekday(),
            "day_of_month": day.day(),
            "month": day.month(),
            "week_of_year": day.week(),
            "quarter": day.quarter(),
        }[field]
        days = pl.DataFrame({"day": pl.Series(self._days, dtype=pl.Int32).cast(pl.Date)})
        return days.select(expression.cast(pl.Float64)).to_series().to_numpy()

    def _as_of(self, name: str | LevelOf, lag: int, of_closes: Callable[[Array], Array]) -> Array:
        if isinstance(name, str):
            bars, same_session = self._market[name], self._same_session
        else:
            bars, same_session = self._of_symbols[name], True
        # An unknown value in front stands for all before the first bar, and for a stale one.
        values = np.concatenate(([np.nan], of_closes(bars["adj_close"].to_numpy())))
        dates = bars["date"].to_physical().to_numpy()
        newest = self._newest(dates, same_session=same_session)
        return values[np.maximum(newest - (lag - 1) + 1, 0)]

    def _newest(self, dates: Dates, *, same_session: bool) -> npt.NDArray[np.intp]:
        """Row of the newest bar that each day knows; far below 0 if it is stale."""
        if not dates.size:
            return np.full(self._days.size, _NEVER)
        side: Literal["left", "right"] = "right" if same_session else "left"
        newest = np.searchsorted(dates, self._days, side=side) - 1
        fresh = self._days - dates[np.maximum(newest, 0)] <= STALE_DAYS
        return np.where(fresh, newest, _NEVER)


def _returns(closes: Array) -> Array:
    return np.concatenate(([np.nan], closes[1:] / closes[:-1] - 1))


def _changes(closes: Array) -> Array:
    return np.concatenate(([np.nan], closes[1:] - closes[:-1]))
