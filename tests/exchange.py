"""Raw bars to clean: at the New York Stock Exchange, one session after the other."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from stages.bars import calendars
from stages.bars.calendars import Sessions
from stages.bars.cleaning import actions
from stages.bars.cleaning.clean_params import CleanParams
from stages.common import tables

PLAIN: dict[str, Any] = {
    "max_gap": 0.18,
    "fill_limit": 0,
    "zero_volume": "reject",
    "adjustment": "auto",
    "max_rejected": 0.05,
}


def rules(**changes: Any) -> CleanParams:
    """The params of clean, with these changes."""
    return CleanParams.model_validate(PLAIN | changes)


@cache
def new_york() -> Sessions:
    """The sessions of 2012."""
    return calendars.sessions("XNYS", date(2012, 1, 1), date(2012, 12, 31))


@cache
def days() -> list[date]:
    """The dates of these sessions, from 2012-01-03 on."""
    sessions = pl.Series(new_york().days).cast(pl.Date)
    return [day for day in sessions if day >= date(2012, 1, 3)]


def raw(
    symbol: str, close: Sequence[float | None], dates: Sequence[date] | None = None, **columns: Any
) -> pl.DataFrame:
    """Raw daily bars from closes; every other column has a plain value unless given."""
    closes = pl.Series("close", close, dtype=pl.Float64)
    count = len(closes)
    plain = {
        "symbol": pl.Series([symbol] * count, dtype=pl.String),
        "date": pl.Series(dates if dates is not None else days()[:count], dtype=pl.Date),
        **dict.fromkeys(tables.PRICES, closes),
        "adj_close": pl.Series([None] * count, dtype=pl.Float64),
        "volume": pl.Series([1000.0] * count, dtype=pl.Float64),
    }
    special = {
        name: pl.Series(values, dtype=tables.RAW_DAILY[name]) for name, values in columns.items()
    }
    return pl.DataFrame(plain | special).select(list(tables.RAW_DAILY))


def raw_hourly(symbol: str, rows: Sequence[tuple[datetime, float]], **columns: Any) -> pl.DataFrame:
    """Raw hourly bars from opening times in UTC and closes."""
    closes = pl.Series("close", [close for _, close in rows], dtype=pl.Float64)
    count = len(closes)
    plain = {
        "symbol": pl.Series([symbol] * count, dtype=pl.String),
        "timestamp": pl.Series([time for time, _ in rows], dtype=tables.UTC),
        **dict.fromkeys(tables.PRICES, closes),
        "adj_close": pl.Series([None] * count, dtype=pl.Float64),
        "volume": pl.Series([1000.0] * count, dtype=pl.Float64),
    }
    special = {
        name: pl.Series(values, dtype=tables.RAW_HOURLY[name]) for name, values in columns.items()
    }
    return pl.DataFrame(plain | special).select(list(tables.RAW_HOURLY))


def hours(day: date, count: int = 7, first: int = 30) -> list[datetime]:
    """Opening times of a winter session of New York, in UTC: from 14:30 on."""
    opened = datetime(day.year, day.month, day.day, 14, first, tzinfo=UTC)
    return [opened + timedelta(hours=hour) for hour in range(count)]


def ex_dates(
    source: Sequence[tuple[str, date, float | None, float | None]] = (),
    hand: Sequence[tuple[str, date | None, float, float]] = (),
) -> pl.DataFrame:
    """Corporate actions as clean takes them: symbol, ex-date, ratio, dividend."""
    schema = dict(tables.ACTIONS)
    return actions.combine(
        pl.DataFrame(list(source), schema=schema, orient="row"),
        pl.DataFrame(list(hand), schema=schema, orient="row"),
    )


def write_raw(
    folder: Path,
    daily: Sequence[pl.DataFrame] = (),
    hourly: Sequence[pl.DataFrame] = (),
    market: Sequence[pl.DataFrame] = (),
    source: pl.DataFrame | None = None,
) -> None:
    """A data/raw/ as ingest leaves it."""
    for kind, frames in (("daily", daily), ("hourly", hourly), ("market", market)):
        for number, frame in enumerate(frames):
            # The name of a file says nothing of its symbol's place.
            tables.write(frame, folder / kind / f"{99 - number}.parquet")
    table = tables.empty(tables.ACTIONS) if source is None else source
    tables.write(table, folder / "actions.parquet")
