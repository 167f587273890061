"""The bars that a source gives on a day of the simulation, with the faults of that day.

Bars are adjusted: the closes are those of `adj_close`, with the other prices in proportion.
"""

from collections.abc import Sequence
from datetime import date

import numpy as np
import polars as pl

from monitor.simulation.plan import Fault
from stages.common import tables

MANIA = 1.15
"""Growth of the volume from session to session in a drift, which lasts two periods."""

RESTATED = 0.02
"""Largest share by which a former close is restated."""

RESTATED_SESSIONS = 60
"""How many sessions are restated."""

CORRELATION = 0.085
"""Of the informative series with the next return: an R2 of 0.007, below that of a leak."""

WIDTH = 0.5
"""Weight of the next absolute return in the series that foretells volatility."""

MISLEADS = -2.0
"""Weight of the next return once they mislead."""

LOCAL = 21
"""Sessions by which moves are measured."""

SENTIMENT, IMPLIED = "SENTIMENT", "IMPLIED"
"""Series of each symbol: one foretells the direction of the next return, one its size."""


def adjusted(bars: pl.DataFrame) -> pl.DataFrame:
    """Bars of `data/clean` with adjusted prices, sorted by symbol and date."""
    ratio = pl.col("adj_close") / pl.col("close")
    prices = [(pl.col(name) * ratio).alias(name) for name in tables.PRICES]
    return bars.select("symbol", "date", *prices, "volume").sort("symbol", "date")


def with_faults(
    bars: pl.DataFrame, faults: Sequence[Fault], today: date, step: int
) -> pl.DataFrame:
    """What the source gives on a day.

    Args:
        bars: as `adjusted` gives them, of the whole span.
        faults: with their days.
        today: of the simulation; the bars after it are those that will come.
        step: sessions of a period.
    """
    for fault in faults:
        if fault.name == "drift":
            bars = _mania(bars, fault.day, 2 * step)
    for fault in faults:
        if fault.name == "broken-feed":
            bars = _repeating(bars, fault.day, today, step)
        if fault.name == "restated" and today >= fault.day:
            bars = _restated(bars, fault.day)
    return bars


def _mania(bars: pl.DataFrame, day: date, sessions: int) -> pl.DataFrame:
    """A volume that grows from session to session, and stays high then."""
    late = (pl.col("date") >= day).cum_sum().over("symbol").clip(upper_bound=sessions)
    return bars.with_columns(pl.col("volume") * MANIA**late)


def _repeating(bars: pl.DataFrame, day: date, today: date, step: int) -> pl.DataFrame:
    """The first symbol's bars since a day are all that of the day before, until it is mended."""
    symbol = bars["symbol"][0]
    own = bars.filter(pl.col("symbol") == symbol)
    days = own["date"].to_list()
    place = next((place for place, each in enumerate(days) if each >= day), len(days))
    end = days[min(place + step, len(days)) - 1]
    if place == 0 or today > end or today < day:
        return bars
    last = own.row(place - 1, named=True)
    broken = (pl.col("symbol") == symbol) & (pl.col("date") >= day)
    names = (*tables.PRICES, "volume")
    return bars.with_columns(
        pl.when(broken).then(pl.lit(last[name])).otherwise(pl.col(name)).alias(name)
        for name in names
    )


def _restated(bars: pl.DataFrame, day: date) -> pl.DataFrame:
    """Other prices for the second symbol's sessions before a day."""
    symbols = bars["symbol"].unique(maintain_order=True)
    symbol = symbols[min(1, len(symbols) - 1)]
    days = bars.filter((pl.col("symbol") == symbol) & (pl.col("date") < day))["date"]
    restated = days.tail(RESTATED_SESSIONS)
    shares = np.random.default_rng(0).uniform(-RESTATED, RESTATED, len(restated))
    table = pl.DataFrame({"date": restated, "_share": shares}).with_columns(symbol=pl.lit(symbol))
    factor = 1 + pl.col("_share").fill_null(0.0)
    joined = bars.join(table, on=["symbol", "date"], how="left", maintain_order="left")
    return joined.with_columns(pl.col(name) * factor for name in tables.PRICES).drop("_share")


def series(bars: pl.DataFrame, turn: date | None, seed: int) -> dict[str, pl.DataFrame]:
    """Two series that know a little of the next session, until a day: then they mislead.

    Args:
        bars: as `with_faults` gives them, of the whole span.
        turn: the first session on which they mislead; None for never.
        seed: of their noise.

    Returns:
        `symbol, date, value` by name; values are above zero, as logarithms need them.
    """
    moves = (pl.col("close") / pl.col("close").shift(1)).log().over("symbol")
    usual = pl.col("_move").rolling_std(LOCAL, min_samples=2).over("symbol")
    rows = bars.with_columns(_move=moves)
    # In units of the usual move by then, or a crisis would decide alone.
    size = rows.select(
        size=(pl.col("_move").shift(-1).over("symbol") / usual).fill_nan(None).fill_null(0.0)
    )["size"].to_numpy()
    size = np.clip(size, -5, 5)
    generator = np.random.default_rng(seed)
    noise = generator.standard_normal((2, len(size)))
    sign = np.ones(len(size)) if turn is None else np.where(rows["date"] >= turn, MISLEADS, 1.0)
    spread = float(size.std()) or 1.0
    direction = CORRELATION * sign * size / spread + (1 - CORRELATION**2) ** 0.5 * noise[0]
    volatility = WIDTH * sign * np.log(np.abs(size) + 0.1) + 0.5 * noise[1]
    named = {SENTIMENT: np.exp(0.25 * direction), IMPLIED: np.exp(volatility)}
    return {
        name: rows.select("symbol", "date", value=pl.Series(np.round(values, 6)))
        for name, values in named.items()
    }
