"""Hourly bars: how long the bars of a series are, and hours made of shorter ones."""

from collections.abc import Collection, Sequence

import polars as pl

from stages.bars.calendars import BAR, Sessions
from stages.common.errors import DataError, few

_UNITS = ((86_400_000_000, "day"), (BAR, "hour"), (60_000_000, "minute"), (1_000_000, "second"))

_NIGHT = 12 * BAR
"""A step of this length leads from one day to the next."""

_ENOUGH = 5
"""From this many bars on, one bar a day means daily bars."""


def step(stamps: pl.Series) -> int | None:
    """The usual time from one bar of a day to the next, in microseconds; None if none has a next.

    Where most bars of an hour are missing the shortest time is the usual one.
    """
    times = stamps.drop_nulls().unique().sort()
    steps = times.diff().drop_nulls().to_physical().sort()
    steps = steps.filter(steps < _NIGHT)
    if steps.is_empty():
        return None
    usual = int(steps.mode().sort()[0])
    return usual if usual <= BAR else int(steps[0])


def check(stamps: pl.Series) -> int:
    """The length of a symbol's bars in microseconds: an hour, or a divisor of it.

    Raises:
        DataError: it is another length.
    """
    usual = step(stamps)
    if usual is None and stamps.n_unique() >= _ENOUGH:
        raise DataError(
            "has a timestamp and one bar a day: these are daily bars, so name the column in "
            "columns.date of the source instead of columns.timestamp"
        )
    if usual is not None and (usual > BAR or BAR % usual):
        raise DataError(
            f"has bars of {name(usual)}; the pipeline takes bars of an hour, or of a part of it "
            "such as 5 minutes, so export these"
        )
    return usual or BAR


def lengths(bars: pl.DataFrame) -> dict[str, int]:
    """The length of the bars of each symbol whose bars are shorter than an hour, in microseconds.

    Args:
        bars: columns of `tables.RAW_HOURLY`, in any order.
    """
    symbols = bars.select("symbol", "timestamp").partition_by("symbol", as_dict=True)
    steps = {str(name): step(rows["timestamp"]) for (name,), rows in symbols.items()}
    return {
        name: usual for name, usual in steps.items() if usual and usual < BAR and BAR % usual == 0
    }


def name(micros: int) -> str:
    """A length in words, such as `5 minutes`."""
    for unit, word in _UNITS:
        if micros % unit == 0:
            count = micros // unit
            return f"{count} {word}{'' if count == 1 else 's'}"
    return f"{micros / 1_000_000:g} seconds"


def line(shorter: Sequence[tuple[str, int]]) -> str:
    """The line about the symbols with shorter bars, with the length of these bars."""
    named = few(f"{symbol} ({name(micros)})" for symbol, micros in shorter)
    return f"bars of less than an hour: {named}; clean makes hours of them, from the open on"


def whole_hours(bars: pl.DataFrame, shorter: Collection[str], sessions: Sessions) -> pl.DataFrame:
    """Make hours of shorter bars; hours stay as they are.

    Hours are counted from the open of the session: at the NSE from 9:15, 10:15, ... A bar that
    opens before the session and reaches into it belongs to the first.

    Args:
        bars: columns of `tables.RAW_HOURLY`, `date` and `session`, sorted by (symbol, timestamp).
        shorter: the symbols with shorter bars.
        sessions: those that `session` numbers.
    """
    if not shorter:
        return bars
    short = bars["symbol"].is_in(list(shorter))
    opens = pl.Series(sessions.opens)[bars["session"]]
    since = bars["timestamp"].to_physical() - opens
    start = opens + (since.clip(lower_bound=0) // BAR) * BAR
    parts = (
        bars.with_columns(start.cast(pl.Datetime("us")).dt.replace_time_zone("UTC").alias("hour"))
        .filter(short)
        .group_by("symbol", "hour", maintain_order=True)
        .agg(
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close", "adj_close", "date", "session").last(),
            pl.when(pl.col("volume").count() > 0).then(pl.col("volume").sum()),
        )
        .rename({"hour": "timestamp"})
        .select(bars.columns)
    )
    return pl.concat([bars.filter(~short), parts]).sort("symbol", "timestamp")
