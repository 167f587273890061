"""Overnight jumps of a price, and which of them are errors of the data rather than market moves.

Clean judges a source's bars by these rules, and the server those of a caller.
"""

import numpy as np
import numpy.typing as npt
import polars as pl

from stages.common.tables import Contract

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]

_SPLITS = (
    *(2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 15.0, 20.0, 25.0, 50.0, 100.0),
    *(3 / 2, 4 / 3, 5 / 4, 6 / 5, 5 / 2, 7 / 2, 5 / 3),
)
RATIOS = (*_SPLITS, *(1 / ratio for ratio in _SPLITS))
"""Splits and bonuses as companies make them, and reverse splits."""

UNIT = 9.0
"""A price that moves ninefold, or to a ninth, from one bar to the next is in another unit: ten,
a hundred or a thousand of the former, or another currency. Crashes on a single piece of news end
above a tenth."""

DIVIDEND = 2.0
"""The most that a factor grows by a dividend or a spin-off: one of half the price."""

_WHOLE_SPLITS = 50
_SPLIT_ERROR = 0.02
_RETURN_ERROR = 0.15
_RETURN_BARS = 20
_RETURN_GAP = 0.15
_LASTING = 3.0
_HISTORY = 20
_QUIET = 0.5
_UNUSUAL = 5.0

JUMP: Contract = {
    "row": pl.Int64,
    "symbol": pl.String,
    "date": pl.Date,
    "previous_close": pl.Float64,
    "open": pl.Float64,
    "close": pl.Float64,
    "step": pl.Float64,
    "doubt": pl.String,
    "since": pl.Date,
}
"""A jump: its row among the bars, its prices, the step by which the row was adjusted, what speaks
against a market move, and for `returned` the day of the jump that it takes back."""


def find(bars: pl.DataFrame, step: Array, vouched: Flags, max_gap: float) -> pl.DataFrame:
    """Find each overnight jump that must be explained, or that no market can have made.

    A gap from one day's last close to the next open is large beyond `max_gap`. Where something
    vouches for the row, a large gap is still doubted for one of these reasons, each known
    on the day of the jump:

    unit
        The price, adjusted, opened or closed at nine times the close before or more, or at a ninth
        or less.
    factor
        The factor moved by what is neither a split nor a dividend.
    returned
        The jump takes back the one before it, within 20 bars, or later if both are threefold.
    quiet
        The range of the bar, times its volume in multiples of the usual, is less than half the
        jump (in logarithms). News that moves a price is traded upon: on the days of real jumps of
        US and Indian shares it was 0.75 of the jump or more.

    The last two ask for a jump of more than 5 times the usual range or move, the median of the 20
    bars before it.

    A row for which nothing vouches is doubted only as `returned`.

    Args:
        bars: `symbol, date, open, high, low, close, volume`, sorted by symbol and time; no price
            is null, NaN or below 0.
        step: per row, what the day multiplies a holder's shares by; 1 where there is no action.
        vouched: per row, whether the source says so by its `adj_close`, or the user in general.
        max_gap: `clean.max_gap`, a share of the close before.

    Returns:
        The columns of `JUMP`, sorted by row: the gaps beyond `max_gap`, before any adjustment or,
        where nothing vouches, after it; and whatever is doubted.
    """
    first = changes(bars["symbol"])
    opened, close = (bars[name].to_numpy() for name in ("open", "close"))
    # A first row compares with another symbol's last; nothing is read from it.
    previous = np.roll(close, 1)
    raw = np.where(~first & changes(bars["date"]), opened / previous, 1.0)
    rest = raw * step
    closes = np.where(first, 1.0, close / previous * step)
    extreme = max(UNIT - 1, max_gap)
    unit = vouched & (beyond(rest, extreme) | beyond(closes, extreme))
    large = beyond(raw, max_gap) | beyond(rest, max_gap)
    rows = np.flatnonzero(large | unit)
    trusted = vouched[rows]
    number: Rows = np.cumsum(first, dtype=np.int64)[rows]
    usual, traded = _before(bars, rest, first, rows)
    back = _returned(raw[rows], usual, number, rows)
    back |= trusted & _returned(rest[rows], usual, number, rows)
    quiet = traded < _QUIET * np.abs(np.log(rest[rows]))
    quiet &= trusted & beyond(rest[rows], max_gap) & _unusual(rest[rows], usual)
    doubt = np.select(
        [unit[rows], trusted & _implausible(step[rows], max_gap), back, quiet],
        ["unit", "factor", "returned", "quiet"],
        default="",
    )
    reported = beyond(raw[rows], max_gap) | (beyond(rest[rows], max_gap) & ~trusted) | (doubt != "")
    jumps = bars.select("symbol", "date", "open", "close")[rows].with_columns(
        row=pl.Series(rows),
        previous_close=pl.Series(previous[rows]),
        step=pl.Series(step[rows]),
        doubt=pl.Series(doubt.tolist(), dtype=pl.String).replace("", None),
        since=pl.when(pl.Series(doubt == "returned")).then(pl.col("date").shift(1)),
    )
    return jumps.filter(pl.Series(reported)).select(list(JUMP))


def beyond(ratio: Array, max_gap: float) -> Flags:
    """Whether a ratio of prices is above 1 + max_gap, or below that part of 1."""
    flags: Flags = (ratio > 1 + max_gap) | (ratio < 1 / (1 + max_gap))
    return flags


def changes(column: pl.Series) -> Flags:
    """Whether a row's value differs from the one above; true in the first row."""
    flags: Flags = (column != column.shift(1)).fill_null(value=True).to_numpy()
    return flags


def _implausible(step: Array, max_gap: float) -> Flags:
    dividend: Flags = (step >= 1 / (1 + max_gap)) & (step <= DIVIDEND * (1 + _SPLIT_ERROR))
    splits = np.unique([*RATIOS, *range(2, _WHOLE_SPLITS + 1)])
    ratio = np.maximum(step, 1 / step)[:, np.newaxis]
    split: Flags = (np.abs(ratio / splits - 1) <= _SPLIT_ERROR).any(axis=1)
    return ~dividend & ~split


def _returned(ratio: Array, usual: Array, number: Rows, rows: Rows) -> Flags:
    """Whether a jump takes back the one before it, among the jumps of all symbols."""
    back = np.zeros(rows.size, dtype=bool)
    if rows.size:
        size = np.log(ratio)
        jump = beyond(ratio, _RETURN_GAP) & _unusual(ratio, usual)
        near = np.abs(size[1:] + size[:-1]) <= _RETURN_ERROR * np.abs(size[1:])
        soon = (np.diff(rows) <= _RETURN_BARS) | (np.abs(size[1:]) >= np.log(_LASTING))
        back[1:] = jump[1:] & jump[:-1] & (np.diff(number) == 0) & near & soon
    return back


def _unusual(ratio: Array, usual: Array) -> Flags:
    flags: Flags = np.abs(np.log(ratio)) > _UNUSUAL * usual
    return flags


def _before(bars: pl.DataFrame, rest: Array, first: Flags, rows: Rows) -> tuple[Array, Array]:
    """Compare these rows with the 20 bars before each.

    Returns:
        The median of their range or move, in logarithms; and the row's own range times its volume
        over their median, infinite with fewer bars, without a range, or without a volume that
        varies.
    """
    usual, traded = np.zeros(rows.size), np.full(rows.size, np.inf)
    if not rows.size:
        return usual, traded
    volume = bars["volume"].fill_null(0).fill_nan(0).to_numpy()
    spread = np.log(bars["high"].to_numpy() / bars["low"].to_numpy())
    extent = np.maximum(spread, np.abs(np.log(rest)))
    starts = np.flatnonzero(first)
    firsts = starts[np.searchsorted(starts, rows, side="right") - 1]
    for at, (row, start) in enumerate(zip(rows, firsts, strict=True)):
        before = slice(max(start, row - _HISTORY), row)
        usual[at] = np.median(extent[before])
        median = np.median(volume[before])
        varies = volume[before].min() < volume[before].max()
        comparable = varies and median > 0 and volume[row] > 0 and spread[row] > 0
        if row - start >= _HISTORY and comparable:
            traded[at] = spread[row] * volume[row] / median
    return usual, traded
