"""Prices carried forward over splits and dividends, and the jumps that nothing explains.

A close is adjusted by the factor of its day: 1 at a symbol's first bar, then multiplied by a step
wherever the share itself changed. The step of a day needs that day and those before, nothing
later, so a split of tomorrow never changes a row of today.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from stages.bars.cleaning import jumps
from stages.bars.cleaning.jumps import beyond, changes
from stages.common import tables
from stages.common.errors import DataError

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Mode = Literal["auto", "adj_close", "actions", "none"]

FACTOR_TOLERANCE = 1e-4
"""A source's factor, adj_close / close, that moves by less than this share has not moved.

What moves it between actions is the rounding of `adj_close`: six decimals stay below this down
to a price of 0.01, two decimals down to 100. An action moves it by more: the smallest dividend in
twelve years of AAPL, IBM and MSFT by 1.1e-3. Where the rounding is coarser, its steps are taken
too; each counts from the last one taken, so the factor never drifts away from the source's.
"""

MOVE: tables.Contract = {
    **{name: kind for name, kind in jumps.JUMP.items() if name != "row"},
    "explained": pl.String,
}
"""A jump, as `jumps.find` returns it: `step` is what the day was adjusted by, `explained` by what
(`adj_close`, `actions`, `declared`, `not_adjusted`), null if by nothing."""


@dataclass(frozen=True)
class Adjusted:
    """Factors of rows, and what they came from.

    Attributes:
        factor: per row, what its close is multiplied by; 1 at a symbol's first row.
        applied: per row, how many actions, or moves of the source's own factor, took effect.
        moves: the jumps, in the columns of `MOVE`.
    """

    factor: Array
    applied: npt.NDArray[np.int64]
    moves: pl.DataFrame


@dataclass(frozen=True)
class _Steps:
    """Per row: the step, how many actions it is made of, and where it comes from."""

    step: Array
    applied: npt.NDArray[np.int64]
    by_source: Flags
    by_action: Flags
    declared: Flags


def adjust(bars: pl.DataFrame, actions: pl.DataFrame, mode: Mode, max_gap: float) -> Adjusted:
    """Find each row's factor, and every overnight jump with what explains it.

    `adj_close`, or a `mode` of `none`, explains a jump unless `jumps.find` doubts it.

    The step of a row comes from the source's `adj_close` where `mode` allows it and both this row
    and an earlier one have one, from corporate actions elsewhere; a hand-kept action counts in
    either case. An action takes effect at the first bar on or after its ex-date: `ratio`, and for
    a dividend the previous close before it over the one after it.

    Args:
        bars: prices, `volume` and `adj_close` of each `symbol` and `date`, sorted by symbol and
            time; once a symbol's `adj_close` has begun, no later row may lack it (ignored where
            the mode ignores it).
        actions: columns of `actions.ACTION`.
        mode: `clean.adjustment`.
        max_gap: an open of more than 1 + max_gap times the previous day's last close, or of less
            than that part of it, must be explained.

    Raises:
        DataError: a dividend is not below the price.
    """
    first = changes(bars["symbol"])
    previous = np.roll(bars["close"].to_numpy(), 1)
    steps = _find_steps(bars, first, previous, actions, mode)
    vouched = np.ones(bars.height, dtype=bool) if mode == "none" else steps.by_source
    large = jumps.find(bars, steps.step, vouched, max_gap)
    rows = large["row"].to_numpy()
    rest = (large["open"] / large["previous_close"] * large["step"]).to_numpy()
    credible = large["doubt"].is_null().to_numpy()
    explained = np.select(
        [
            vouched[rows] & credible & (mode == "none"),
            vouched[rows] & credible,
            steps.declared[rows],
            steps.by_action[rows] & ~beyond(rest, max_gap),
        ],
        ["not_adjusted", "adj_close", "declared", "actions"],
        default="",
    )
    moves = large.with_columns(
        explained=pl.Series(explained, dtype=pl.String).replace("", None)
    ).select(list(MOVE))
    return Adjusted(_carried(steps.step, first), steps.applied, moves)


def unadjusted(rows: int) -> Adjusted:
    """Rows without an adjustment, whose jumps need no explanation."""
    return Adjusted(np.ones(rows), np.zeros(rows, dtype=np.int64), tables.empty(MOVE))


def _find_steps(
    bars: pl.DataFrame, first: Flags, previous: Array, actions: pl.DataFrame, mode: Mode
) -> _Steps:
    rows = bars.height
    step, applied = np.ones(rows), np.zeros(rows, dtype=np.int64)
    by_source, by_action, declared = (np.zeros(rows, dtype=bool) for _ in range(3))
    factor = np.full(rows, np.nan)
    if mode in ("auto", "adj_close"):
        ratio = (bars["adj_close"] / bars["close"]).fill_null(np.nan).to_numpy()
        factor = np.where(np.isfinite(ratio), ratio, np.nan)
        by_source = ~first & ~np.isnan(factor) & ~np.isnan(np.roll(factor, 1))
    effects = _effects(bars, first, actions.filter("genuine") if mode == "none" else actions)
    if effects is not None:
        # The source has its own actions in adj_close already.
        answers = effects["hand"].to_numpy() | ~by_source[effects["row"].to_numpy()]
        effects = _merged(effects.filter(pl.Series(answers)))
        where = effects["row"].to_numpy()
        by_action[where] = effects["actions"].to_numpy() > 0
        declared[where] = effects["genuine"].to_numpy()
        by_source[where] = False
        applied[where] = effects["actions"].to_numpy()
        step[where] = _action_steps(bars, previous, effects)
    wild = actions.filter(pl.col("date").is_null())["symbol"]
    if wild.len():
        declared |= bars["symbol"].is_in(wild.implode()).to_numpy()
    _take_source_steps(step, applied, factor, by_source)
    return _Steps(step, applied, by_source, by_action, declared)


def _take_source_steps(
    step: Array, applied: npt.NDArray[np.int64], factor: Array, by_source: Flags
) -> None:
    """Fill in the steps of the rows that the source's own factor adjusts."""
    if not by_source.any():
        return
    moved = by_source & (np.abs(factor / np.roll(factor, 1) - 1) > FACTOR_TOLERANCE)
    # A row that something else adjusts sets a new mark, like one where the factor moved.
    marks = ~by_source | moved
    newest = np.maximum.accumulate(np.where(marks, np.arange(marks.size), 0))
    rows = np.flatnonzero(moved)
    step[rows] = factor[rows] / factor[newest[rows - 1]]
    applied[rows] = 1


def _effects(bars: pl.DataFrame, first: Flags, actions: pl.DataFrame) -> pl.DataFrame | None:
    """The actions that take effect in these bars, each with its row."""
    starts = np.flatnonzero(first)
    series = pl.DataFrame({"symbol": bars["symbol"][starts], "series": np.arange(starts.size)})
    effects = actions.filter(pl.col("date").is_not_null()).join(series, on="symbol")
    if effects.is_empty():
        return None
    # One number orders a symbol's place and the date as bars are ordered.
    of_bars = _key(np.cumsum(first) - 1, bars["date"])
    of_effects = _key(effects["series"].to_numpy(), effects["date"])
    rows = np.searchsorted(of_bars, of_effects)
    ends = np.append(starts[1:], bars.height)[effects["series"].to_numpy()]
    # Before a symbol's first bar there is no price to carry forward, after its last none to adjust.
    within = (rows < ends) & ~first[np.minimum(rows, bars.height - 1)]
    effects = effects.with_columns(row=pl.Series(rows)).filter(pl.Series(within))
    return None if effects.is_empty() else effects


def _key(series: npt.NDArray[np.int64], days: pl.Series) -> npt.NDArray[np.int64]:
    key: npt.NDArray[np.int64] = (series << 32) + days.to_physical().to_numpy()
    return key


def _merged(effects: pl.DataFrame) -> pl.DataFrame:
    """One row per bar: several actions may fall into a time without bars."""
    return (
        effects.group_by("row", maintain_order=True)
        .agg(
            pl.col("ratio").product(),
            pl.col("dividend").sum(),
            pl.col("genuine").any(),
            actions=((pl.col("ratio") != 1) | (pl.col("dividend") > 0)).sum().cast(pl.Int64),
        )
        .sort("row")
    )


def _action_steps(bars: pl.DataFrame, previous: Array, effects: pl.DataFrame) -> Array:
    ratio, dividend = effects["ratio"].to_numpy(), effects["dividend"].to_numpy()
    # The dividend is one of the day's own shares: what they were worth before it was paid.
    worth = previous[effects["row"].to_numpy()] / ratio
    bad = np.flatnonzero(dividend >= worth)
    if bad.size:
        symbol, day = bars.select("symbol", "date").row(int(effects["row"][int(bad[0])]))
        raise DataError(
            f"{symbol}: {day}: a dividend of {dividend[bad[0]]:g} on a share of "
            f"{worth[bad[0]]:g} cannot be; correct it by a line in data/actions.csv"
        )
    steps: Array = ratio * worth / (worth - dividend)
    return np.where(dividend > 0, steps, ratio)


def _carried(step: Array, first: Flags) -> Array:
    """The product of the steps up to each row, from the first row of its symbol."""
    factor = np.ones(step.size)
    starts = np.append(np.flatnonzero(first), step.size)
    # Most symbols have no step: only the others are multiplied.
    holders = np.unique(np.searchsorted(starts, np.flatnonzero(step != 1), side="right"))
    for start, stop in zip(starts[holders - 1], starts[holders], strict=True):
        factor[start:stop] = np.cumprod(step[start:stop])
    return factor
