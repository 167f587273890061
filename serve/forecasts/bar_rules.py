"""The rules by which clean judges a source's bars, for those of a caller."""

from collections.abc import Collection, Sequence
from datetime import date

import numpy as np
import polars as pl

from serve.forecasts.forecast_errors import InvalidInputError
from serve.forecasts.prediction import days_since_epoch
from stages.bars.cleaning import jumps
from stages.common.errors import few

_DOUBTS = {
    "unit": "as in another unit",
    "factor": "and adj_close moves by what is neither a split nor a dividend",
    "returned": "and takes back the jump before it",
    "quiet": "and hardly anybody traded on it",
}
_SHOWN = 3


def check_sessions(days: Sequence[date], sessions: Sequence[int]) -> None:
    """Check that each bar is of a session of the exchange.

    Args:
        sessions: of the revision, in days since 1970-01-01. Of days before the first and after the
            last only weekdays are judged.

    Raises:
        InvalidInputError: some are not.
    """
    if not sessions:
        return
    known, first, last = frozenset(sessions), sessions[0], sessions[-1]
    # 1970-01-01 was a Thursday.
    weekdays = {(day + 3) % 7 for day in sessions}
    closed = [
        day
        for day, number in ((day, days_since_epoch(day)) for day in days)
        if (number not in known if first <= number <= last else day.weekday() not in weekdays)
    ]
    if closed:
        raise InvalidInputError(
            f"bars: the exchange was closed on {few((f'{day:%Y-%m-%d (%A)}' for day in closed), 5)}"
            "; send bars of its sessions only",
            "not-a-session",
        )


def check_jumps(
    bars: pl.DataFrame, adjusted: Sequence[bool], genuine: Collection[date], max_gap: float
) -> None:
    """Check that each overnight jump is explained by `adj_close` or declared in `genuine`.

    Args:
        bars: of one symbol, in the columns of `tables.CLEAN_DAILY`.
        adjusted: per bar, whether the caller gave an `adj_close`.
        genuine: days of jumps that are the market's own.
        max_gap: `clean.max_gap` of the revision.

    Raises:
        InvalidInputError: some are neither, or a day of `genuine` has no bar.
    """
    absent = sorted(set(genuine) - set(bars["date"]))
    if absent:
        raise InvalidInputError(f"genuine: no bar is of {few(absent)}", "unknown-day")
    has_adj_close = np.array(adjusted)
    vouched = has_adj_close & np.roll(has_adj_close, 1)
    vouched[0] = False
    factor = (bars["adj_close"] / bars["close"]).to_numpy()
    step = np.where(vouched, factor / np.roll(factor, 1), 1.0)
    gaps = jumps.find(bars, step, vouched, max_gap)
    explained = pl.Series(vouched[gaps["row"].to_numpy()]) & gaps["doubt"].is_null()
    wrong = gaps.filter(~explained & ~gaps["date"].is_in(list(genuine)))
    if wrong.height:
        lines = [
            f"{row['date']} opens at {row['open']:g} after a close of {row['previous_close']:g}"
            + (f", {_DOUBTS[row['doubt']]}" if row["doubt"] else "")
            for row in wrong.iter_rows(named=True)
        ]
        raise InvalidInputError(
            f"bars: {few(lines, _SHOWN)}: a split, another unit or an error; adjust the bars, send "
            "adj_close with each, or name in `genuine` the days on which the market moved so",
            "unexplained-jump",
        )
