"""Clean bars: those that meet every rule, adjusted, and a record of those that do not."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from stages.bars import hours
from stages.bars.calendars import Sessions
from stages.bars.cleaning.adjust import Mode, adjust, unadjusted
from stages.bars.cleaning.clean_params import CleanParams
from stages.bars.cleaning.rules import AdjClose, Judged, Rules, judge
from stages.common import tables
from stages.common.tables import Kind

FACTOR: tables.Contract = {"symbol": pl.String, "date": pl.Date, "factor": pl.Float64}
"""What closes are multiplied by from a date on; a row where it changes, sorted."""

_NEED: Mapping[Mode, AdjClose] = {
    "auto": "once_begun",
    "adj_close": "always",
    "actions": "ignored",
    "none": "ignored",
}


@dataclass(frozen=True)
class Cleaned:
    """A group of symbols, cleaned.

    Attributes:
        bars: columns of `tables.CLEAN_DAILY` or `tables.CLEAN_HOURLY`.
        rejected: columns of `tables.REJECTED`.
        moves: columns of `adjust.MOVE`.
        factors: columns of `FACTOR`; none for hourly bars.
        counts: one row per symbol, sorted: `symbol`; the `first` and `last` day it has a bar of;
            `newest`, the time of its newest bar that is kept, null if none is; how many rows
            were `read`, `kept` and `out_of_order`; how many sessions are missing between its
            first and last bar and were `filled`; how many `actions` took effect.
    """

    bars: pl.DataFrame
    rejected: pl.DataFrame
    moves: pl.DataFrame
    factors: pl.DataFrame
    counts: pl.DataFrame


def clean(  # noqa: PLR0913  # what bars are judged by, and what they are
    bars: pl.DataFrame,
    ex_dates: pl.DataFrame,
    sessions: Sessions,
    params: CleanParams,
    kind: Kind = "daily",
    *,
    level: bool = False,
) -> Cleaned:
    """Clean the daily bars of whole symbols.

    A market series may trade on another exchange: its days are not checked against the
    calendar, and none is filled, since it is joined by date as-of.

    Args:
        bars: columns of `tables.RAW_DAILY`, in any order.
        ex_dates: columns of `actions.ACTION`, of these symbols or more.
        sessions: when the exchange is open, from the first bar to the last.
        params: `clean:`.
        kind: `daily` or `market`.
        level: whether these are market series of numbers, not prices (`data.levels`): they have
            no splits, and may jump.

    Raises:
        DataError: a dividend is not below the price.
    """
    need: AdjClose = "ignored" if level else _NEED[params.adjustment]
    judged = judge(bars, Rules(kind, sessions, params.zero_volume, need, level=level))
    accepted = judged.accepted
    if level:
        adjusted = unadjusted(accepted.height)
    else:
        adjusted = adjust(accepted, ex_dates, params.adjustment, params.max_gap)
    factor = pl.Series("factor", adjusted.factor)
    priced = accepted.with_columns(
        pl.col("close").mul(factor).alias("adj_close"), filled=pl.lit(value=False)
    )
    whole = filled(priced, sessions, params.fill_limit) if kind == "daily" else priced
    return Cleaned(
        bars=whole.select(list(tables.CLEAN_DAILY)),
        rejected=_record(judged, kind),
        moves=adjusted.moves,
        factors=_turns(accepted.select("symbol", "date", factor)),
        counts=_counts(
            bars, judged, pl.Series(adjusted.applied), "date", whole.filter("filled")["symbol"]
        ),
    )


def clean_hourly(
    bars: pl.DataFrame,
    ex_dates: pl.DataFrame,
    factors: pl.DataFrame,
    sessions: Sessions,
    params: CleanParams,
) -> Cleaned:
    """Clean the hourly bars of whole symbols; shorter bars become hours (`hours.whole_hours`).

    A symbol with daily bars takes their factor of each session, so that both stand in the same
    units and what is settled there is settled here; any other is adjusted by corporate actions.
    Hours are never filled.

    Args:
        bars: columns of `tables.RAW_HOURLY`, in any order.
        ex_dates: columns of `actions.ACTION`.
        factors: columns of `FACTOR`, of the daily bars.
        sessions: when the exchange is open, from the first bar to the last.
        params: `clean:`.

    Raises:
        DataError: a dividend is not below the price.
    """
    lengths = hours.lengths(bars)
    judged = judge(bars, Rules("hourly", sessions, params.zero_volume, "ignored", lengths))
    accepted = hours.whole_hours(judged.accepted, lengths, sessions)
    daily = accepted["symbol"].is_in(factors["symbol"].unique().implode())
    alone = accepted.filter(~daily)
    adjusted = adjust(
        alone, ex_dates, "none" if params.adjustment == "none" else "actions", params.max_gap
    )
    moves = [adjusted.moves]
    parts = [
        alone.with_columns(factor=pl.Series(adjusted.factor), applied=pl.Series(adjusted.applied))
    ]
    if daily.any():
        joined = accepted.filter(daily).join_asof(
            factors, on="date", by="symbol", strategy="backward", check_sortedness=False
        )
        joined = joined.with_columns(pl.col("factor").fill_null(1), applied=pl.lit(0))
        parts.append(joined)
        moves.append(_own_errors(joined, ex_dates, params.max_gap))
    priced = pl.concat(parts, how="diagonal_relaxed").sort("symbol", "timestamp")
    whole = priced.with_columns(pl.col("close").mul(pl.col("factor")).alias("adj_close"))
    return Cleaned(
        bars=whole.select(list(tables.CLEAN_HOURLY)),
        rejected=_record(judged, "hourly"),
        moves=pl.concat(moves),
        factors=tables.empty(FACTOR),
        counts=_counts(bars, replace(judged, accepted=accepted), whole["applied"], "timestamp"),
    )


def _own_errors(hours: pl.DataFrame, ex_dates: pl.DataFrame, max_gap: float) -> pl.DataFrame:
    """The jumps of hourly bars that even the factor of the daily ones does not make credible."""
    vouched = hours.with_columns(adj_close=pl.col("close") * pl.col("factor"))
    moves = adjust(vouched, ex_dates.filter("hand"), "auto", max_gap).moves
    return moves.filter(pl.col("explained").is_null())


def filled(bars: pl.DataFrame, sessions: Sessions, limit: int) -> pl.DataFrame:
    """Fill missing sessions with the last close and no volume, in runs of up to `limit`.

    Args:
        bars: columns of `tables.CLEAN_DAILY` and `session`, sorted by (symbol, date).
        sessions: those that `session` numbers.
        limit: longest run of missing sessions between two bars of a symbol that is filled; a
            longer one stays missing altogether.
    """
    number = bars["session"].to_numpy()
    same = bars.select(pl.col("symbol") == pl.col("symbol").shift(1)).to_series()
    run_length = np.diff(number, prepend=number[:1]) - 1
    run_length[~same.fill_null(value=False).to_numpy()] = 0
    after = np.flatnonzero((run_length > 0) & (run_length <= limit))
    if not after.size:
        return bars
    lengths = run_length[after]
    row = np.repeat(after - 1, lengths)
    # 1, 2, ... within each run
    step = np.arange(row.size) - np.repeat(np.cumsum(lengths) - lengths, lengths) + 1
    session = number[row] + step
    close = pl.col("close")
    fills = bars[row].with_columns(
        pl.Series("session", session.astype(np.int32)),
        pl.Series("date", sessions.days[session]).cast(pl.Date),
        **dict.fromkeys(tables.PRICES, close),
        volume=pl.when(pl.col("volume").is_not_null()).then(0.0),
        filled=pl.lit(value=True),
    )
    return pl.concat([bars, fills]).sort("symbol", "date")


def _record(judged: Judged, kind: Kind) -> pl.DataFrame:
    rejected = judged.rejected.with_columns(kind=pl.lit(kind))
    if "timestamp" not in rejected.columns:
        rejected = rejected.with_columns(timestamp=pl.lit(None, dtype=tables.UTC))
    return tables.conform(rejected, tables.REJECTED, "rejected")


def _turns(factors: pl.DataFrame) -> pl.DataFrame:
    """The first row of each symbol, and those at which its factor changes."""
    symbol, factor = pl.col("symbol"), pl.col("factor")
    same = (symbol == symbol.shift(1)) & (factor == factor.shift(1))
    return factors.filter(~same.fill_null(value=False))


def _counts(
    bars: pl.DataFrame,
    judged: Judged,
    applied: pl.Series,
    clock: str,
    filled_symbols: pl.Series | None = None,
) -> pl.DataFrame:
    session = pl.col("session").filter(pl.col("session") >= 0)
    accepted = judged.accepted.with_columns(applied=applied)
    of_accepted = accepted.group_by("symbol").agg(
        kept=pl.len(),
        newest=pl.col(clock).max(),
        missing_sessions=(session.max() - session.min() + 1 - session.n_unique()).fill_null(0),
        actions=pl.col("applied").sum(),
    )
    day = pl.col(clock).dt.date()
    of_read = bars.group_by("symbol").agg(read=pl.len(), first=day.min(), last=day.max())
    symbols = pl.Series("symbol", [], pl.String) if filled_symbols is None else filled_symbols
    counts = (
        of_read.join(of_accepted, on="symbol", how="left")
        .join(judged.disordered.rename({"rows": "out_of_order"}), on="symbol", how="left")
        .join(symbols.value_counts(name="filled_sessions"), on="symbol", how="left")
        .sort("symbol")
    )
    numbers = pl.col(
        "read", "kept", "out_of_order", "missing_sessions", "filled_sessions", "actions"
    )
    return counts.with_columns(numbers.fill_null(0).cast(pl.Int64))
