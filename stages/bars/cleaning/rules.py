"""Which bars are accepted: every rule by its name, and the first that a bar breaks.

A bar is judged by itself first, so that an impossible bar never conflicts with a possible one;
then against its session; then against the other bars of its time. In this order:

missing_value
    A price or the volume is null, NaN or infinite. A symbol may lack its volume altogether, as
    currencies do; a market series may lack any, which is 0 then. `adj_close` may be missing before
    a symbol's first one, not after it.
non_positive_price
    A price of 0 or less; a level (`data.levels`) may be either.
high_below_low
    The high is below the low.
outside_range
    The open or the close is above the high or below the low.
mixed_units
    The high is more than nine times the low: some of the prices are in another unit; never of a
    level.
negative_volume
    A volume below 0; never of a level.
zero_volume
    A volume of 0, where `clean.zero_volume` rejects it; never of a market series, nor of an hour
    in which the price has moved: some sources give none with the first hour of each session.
not_a_session
    A day on which the exchange was closed; never of a market series, which may trade elsewhere.
outside_session
    A bar for all of which the exchange was closed, on the day of a session.
duplicate
    Equal in every column to another bar of its time; one of them is kept.
conflict
    Another bar of its time differs; none of them is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import polars as pl

from stages.bars.calendars import BAR, Sessions
from stages.bars.cleaning import jumps
from stages.common.tables import PRICES, Kind, clock

ROUNDING = 1e-6
"""Prices out of order by less than this share are so by rounding: high and low are widened to
hold open and close. Floats of 32 bits, which some sources pass on, are good to 1e-7."""

AdjClose = Literal["ignored", "once_begun", "always"]


@dataclass(frozen=True)
class Rules:
    """How strict to be.

    Attributes:
        kind: whose bars these are.
        sessions: when the exchange is open.
        zero_volume: whether bars without a trade are kept.
        adj_close: whether a bar needs one: `ignored`, from a symbol's first one on
            (`once_begun`), or `always`.
        lengths: of the bars of each symbol whose bars are shorter than an hour, in microseconds.
        level: whether these are market series of numbers, not prices.
    """

    kind: Kind
    sessions: Sessions
    zero_volume: Literal["keep", "reject"] = "reject"
    adj_close: AdjClose = "once_begun"
    lengths: Mapping[str, int] = field(default_factory=dict)
    level: bool = False

    @property
    def clock(self) -> str:
        """The column with the time of a bar."""
        return clock(self.kind)


@dataclass(frozen=True)
class Judged:
    """The bars of a group of symbols, accepted or rejected.

    Attributes:
        accepted: the columns of the bars, `date` and `session` (its number, -1 outside the
            calendar); sorted by symbol and time, one per time, low <= open, close <= high.
        rejected: the columns of the bars, `date` and `reason`; prices and volumes as they came,
            sorted by all columns.
        disordered: `symbol` and `rows`: how many of its bars were earlier than the one above.
    """

    accepted: pl.DataFrame
    rejected: pl.DataFrame
    disordered: pl.DataFrame


def judge(bars: pl.DataFrame, rules: Rules) -> Judged:
    """Separate the bars that meet every rule from those that break one.

    Args:
        bars: whole symbols in the columns of `tables.RAW_DAILY` or `tables.RAW_HOURLY`.
        rules: how strict to be.
    """
    raw_columns = bars.columns
    bars, disordered = _in_order(bars, rules.clock)
    placed = _with_sessions(bars, rules)
    if rules.kind != "market":
        placed = placed.with_columns(_no_volume=_no_volume(placed))
    if rules.adj_close != "ignored":
        placed = placed.with_columns(_lacking=_lacks_adj_close(placed, rules))
    broken = _broken(rules)
    wrong = placed.select(pl.any_horizontal(broken.values())).to_series()
    accepted, parts = placed, []
    if wrong.any():
        first = pl.coalesce(pl.when(rule).then(pl.lit(reason)) for reason, rule in broken.items())
        parts.append(placed.filter(wrong).with_columns(reason=first))
        accepted = placed.filter(~wrong)
    accepted, doubles = _one_per_time(accepted, raw_columns, rules.clock)
    if doubles is not None:
        parts.append(doubles)
    columns = [*dict.fromkeys((*raw_columns, "date")), "session"]
    rejected = (
        pl.concat(parts) if parts else placed.clear().with_columns(reason=pl.lit("", pl.String))
    )
    rejected = rejected.select([*columns[:-1], "reason"])
    order = ["symbol", rules.clock, "reason", *rejected.columns]
    return Judged(
        _tidied(accepted.select(columns), rules),
        rejected.sort(list(dict.fromkeys(order))),
        disordered,
    )


def _in_order(bars: pl.DataFrame, clock: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    same = pl.col("symbol") == pl.col("symbol").shift(1)
    earlier = pl.col(clock) < pl.col(clock).shift(1)
    disordered = (
        bars.lazy()
        .select("symbol", wrong=same & earlier)
        .filter("wrong")
        .group_by("symbol")
        .agg(rows=pl.len().cast(pl.Int64))
        .sort("symbol")
        .collect()
    )
    falling = bars.select((pl.col("symbol") < pl.col("symbol").shift(1)).any()).item()
    if disordered.height or falling:
        bars = bars.sort("symbol", clock, maintain_order=True)
    return bars, disordered


def _with_sessions(bars: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """Add `date`, `session` (-1 where there is none) and `_open_day`: whether the day has one."""
    sessions = rules.sessions
    if rules.kind != "hourly":
        days = bars["date"].to_physical().fill_null(-1).to_numpy()
        number = sessions.position(days)
        return bars.with_columns(session=pl.Series(number), _open_day=pl.Series(number >= 0))
    opened = bars["timestamp"].to_physical().fill_null(-1).to_numpy()
    length = bars["symbol"].replace_strict(rules.lengths, default=BAR, return_dtype=pl.Int64)
    number = sessions.holding(opened, length.to_numpy())
    in_session = pl.Series(number >= 0)
    local = bars["timestamp"].dt.convert_time_zone(sessions.zone).dt.date()
    day = pl.Series(sessions.days[np.maximum(number, 0)]).cast(pl.Date)
    on_session = sessions.position(local.to_physical().fill_null(-1).to_numpy()) >= 0
    return bars.with_columns(
        date=pl.select(pl.when(in_session).then(day).otherwise(local)).to_series(),
        session=pl.Series(number),
        _open_day=pl.Series(on_session),
    )


def _broken(rules: Rules) -> dict[str, pl.Expr]:
    """Every rule by its reason, in order, as an expression that is true where it is broken."""
    low = pl.col("low") - pl.col("low").abs() * ROUNDING
    high = pl.col("high") + pl.col("high").abs() * ROUNDING
    ends = (pl.col("open"), pl.col("close"))
    finite = [_finite(name) for name in PRICES]
    volume = pl.col("volume")
    if rules.kind == "market":
        volume = _volume_or_none()
    else:
        finite.append(_finite("volume") | pl.col("_no_volume"))
    rising = [pl.col(name) <= 0 for name in PRICES]
    missing = ~pl.all_horizontal(finite) | pl.col(rules.clock).is_null()
    if rules.adj_close != "ignored":
        rising.append(_finite("adj_close") & (pl.col("adj_close") <= 0))
        missing |= pl.col("_lacking")
    broken = {
        "missing_value": missing,
        "non_positive_price": pl.any_horizontal(rising),
        "high_below_low": high < pl.col("low"),
        "outside_range": pl.any_horizontal(*((end < low) | (end > high) for end in ends)),
        "mixed_units": pl.col("high") > jumps.UNIT * pl.col("low"),
        "negative_volume": (volume < 0).fill_null(value=False),
    }
    if rules.level:
        for of_prices in ("non_positive_price", "mixed_units", "negative_volume"):
            del broken[of_prices]
    if rules.kind != "market":
        if rules.zero_volume == "reject":
            untraded = (volume == 0).fill_null(value=False)
            broken["zero_volume"] = untraded & _unmoved() if rules.kind == "hourly" else untraded
        broken["not_a_session"] = (pl.col("session") < 0) & ~pl.col("_open_day")
    if rules.kind == "hourly":
        broken["outside_session"] = pl.col("session") < 0
    return broken


def _finite(name: str) -> pl.Expr:
    return pl.col(name).is_finite().fill_null(value=False)


def _unmoved() -> pl.Expr:
    """Whether a bar stands where the one above closed, from its high to its low."""
    same = pl.col("symbol") == pl.col("symbol").shift(1)
    moved = same & (pl.col("close") != pl.col("close").shift(1))
    return (pl.col("high") == pl.col("low")) & ~moved.fill_null(value=False)


def _no_volume(bars: pl.DataFrame) -> pl.Expr:
    """Whether the symbol of a bar has no volume on any bar."""
    if bars["volume"].is_not_nan().fill_null(value=False).all():
        return pl.lit(value=False)
    return ~pl.col("volume").is_not_nan().fill_null(value=False).any().over("symbol")


def _volume_or_none() -> pl.Expr:
    return pl.when(_finite("volume")).then("volume").otherwise(0.0)


def _lacks_adj_close(bars: pl.DataFrame, rules: Rules) -> pl.Expr:
    has = bars["adj_close"].is_finite().fill_null(value=False)
    if has.all():
        return pl.lit(value=False)
    if rules.adj_close == "always":
        return ~_finite("adj_close")
    if not has.any():
        return pl.lit(value=False)
    begun = pl.col(rules.clock).filter(_finite("adj_close")).min().over("symbol")
    return (~_finite("adj_close") & (pl.col(rules.clock) > begun)).fill_null(value=False)


def _one_per_time(
    bars: pl.DataFrame, raw_columns: list[str], clock: str
) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """Keep one of several equal bars of a time, none of several that differ."""
    again = bars.select(
        (pl.col(clock) == pl.col(clock).shift(1)) & (pl.col("symbol") == pl.col("symbol").shift(1))
    ).to_series()
    again = again.fill_null(value=False)
    if not again.any():
        return bars, None
    several = again | again.shift(-1, fill_value=False)
    doubles = bars.filter(several).with_columns(
        _alike=pl.struct(raw_columns).n_unique().over("symbol", clock) == 1,
        _again=again.filter(several),
    )
    stays = pl.col("_alike") & ~pl.col("_again")
    reason = pl.when("_alike").then(pl.lit("duplicate")).otherwise(pl.lit("conflict"))
    accepted = pl.concat([bars.filter(~several), doubles.filter(stays).select(bars.columns)])
    rejected = doubles.filter(~stays).with_columns(reason=reason)
    return accepted.sort("symbol", clock), rejected.select([*bars.columns, "reason"])


def _tidied(bars: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    if rules.kind == "market":
        bars = bars.with_columns(volume=_volume_or_none())
    else:
        bars = bars.with_columns(pl.col("volume").fill_nan(None))
    highest, lowest = pl.max_horizontal(PRICES), pl.min_horizontal(PRICES)
    narrow = bars.select(((highest > pl.col("high")) | (lowest < pl.col("low"))).any()).item()
    return bars.with_columns(high=highest, low=lowest) if narrow else bars
