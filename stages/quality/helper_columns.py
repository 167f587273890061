"""Columns that validation adds, for what no expectation can say about the stored columns.

Each is computed from one slice of whole symbols. Suites, messages and data docs show their names,
which therefore read as a statement; they contain spaces, as no stored column does.
"""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import polars.selectors as cs

from stages.common import tables

IN_ORDER = "rows in order"
BARS = "bars of the symbol"
FINITE = "every number finite"
KNOWN = "known features stay known"
HOLD_OUT = "first date of the hold-out"

Helper = Callable[[pl.DataFrame], pl.Series]


def in_order(clock: str) -> Helper:
    """Whether (symbol, time) of each row is later than in the row before, across slices too."""
    last: list[Any] = []

    def helper(frame: pl.DataFrame) -> pl.Series:
        symbol, time = frame["symbol"], frame[clock]
        earlier, before = symbol.shift(1), time.shift(1)
        if last:
            earlier[0], before[0] = last
        after = (symbol > earlier) | ((symbol == earlier) & (time > before))
        if not last:
            after[0] = symbol[0] is not None and time[0] is not None
        last[:] = symbol[-1], time[-1]
        return after.fill_null(value=False)

    return helper


def bars_of_symbol(frame: pl.DataFrame) -> pl.Series:
    """How many rows the symbol of each row has."""
    return frame.select(pl.len().over("symbol").cast(pl.Int64)).to_series()


def every_number_finite(frame: pl.DataFrame) -> pl.Series:
    """Whether no number of the row is NaN or infinite (null is neither)."""
    return frame.select(pl.all_horizontal(cs.float().is_finite().fill_null(value=True))).to_series()


def stay_known(features: Sequence[str]) -> Helper:
    """Whether no feature of the row is null after a value in an earlier row of its symbol."""

    def helper(frame: pl.DataFrame) -> pl.Series:
        present = [name for name in features if name in frame.columns]
        first = (pl.col("symbol") != pl.col("symbol").shift(1)).fill_null(value=True)
        column, former = pl.col(present), pl.col(present).shift(1)
        lost = frame.select((column.is_null() & former.is_not_null() & ~first).any())
        conditions = []
        # Features are rarely lost: only a lost one is checked row by row.
        for name in present:
            if lost[name].item():
                known = pl.col(name).is_not_null()
                so_far = known.cum_sum()
                before_symbol = pl.when(first).then(so_far - known).forward_fill()
                conditions.append(known | (so_far == before_symbol))
        if not conditions:
            return pl.repeat(value=True, n=frame.height, eager=True)
        return frame.select(pl.all_horizontal(conditions)).to_series()

    return helper


def first_date(file: Path) -> Helper:
    """The first date of another table, in every row."""

    @cache
    def first() -> Any:
        return tables.read(file, ["date"])["date"].min()

    def helper(frame: pl.DataFrame) -> pl.Series:
        return pl.repeat(first(), frame.height, dtype=pl.Date, eager=True)

    return helper
