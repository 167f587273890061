"""What serving needs besides the models: the newest bars, their features, the coming sessions.

Reads data/clean/ and data/features/, writes models/latest.parquet and models/sessions.json, so
that `models/` alone can answer for the newest session, compute the features of a bar that follows
and name the session that a forecast is for.
"""

import json
from typing import TYPE_CHECKING, cast

import polars as pl

from stages.bars import calendars
from stages.common import tables
from stages.common.paths import CLEAN_DAILY, CLEAN_MARKET, FEATURES_DAILY, LATEST, SESSIONS
from stages.common.running import log, run
from stages.common.sections import DataParams, Horizons, Sections, checked, load

if TYPE_CHECKING:
    from datetime import date

YEAR = 252
"""Sessions named beyond the longest horizon, so that a model can go on serving for a year."""


class Settings(Sections):
    """What latest obeys."""

    data: DataParams
    horizons: Horizons


def newest(bars: pl.DataFrame, count: int) -> pl.DataFrame:
    """The last `count` rows of each symbol, sorted as they came."""
    return bars.filter(pl.int_range(pl.len()).reverse().over("symbol") < count)


def main() -> None:
    """Write the newest bars with their features, and the coming sessions."""
    settings = load(Settings)
    count = checked().lookback
    market = settings.data.market
    parts = []
    groups = zip(tables.row_groups(CLEAN_DAILY), tables.row_groups(FEATURES_DAILY), strict=True)
    for bars, features in groups:
        # `volume` is a feature too, and the same number.
        known = set(bars.columns) - {"symbol", "date"}
        extra = features.select(name for name in features.columns if name not in known)
        parts.append(
            newest(bars, count).join(
                extra, on=["symbol", "date"], how="left", maintain_order="left"
            )
        )
    if market:
        series = tables.read(CLEAN_MARKET)
        parts += [newest(series.filter(pl.col("symbol") == name), count) for name in market]
    rows = pl.concat(parts, how="diagonal").with_columns(market=pl.col("symbol").is_in(market))
    tables.write(rows, LATEST)

    data = settings.data
    dates = rows.filter(~pl.col("market"))["date"]
    first, last = cast("date", dates.min()), cast("date", dates.max())
    ahead = max(settings.horizons.values()) + YEAR
    days = calendars.coming_sessions(data.calendar, last, ahead, data.extra_sessions, since=first)
    with tables.replacing(SESSIONS) as partial:
        content = {
            "calendar": data.calendar,
            "sessions": [str(day) for day in days],
        }
        partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    log.info(
        "latest: the newest %s bars of %s series, %s sessions to come -> %s, %s",
        count,
        rows["symbol"].n_unique(),
        sum(day > last for day in days),
        LATEST,
        SESSIONS,
    )


if __name__ == "__main__":
    run(main)
