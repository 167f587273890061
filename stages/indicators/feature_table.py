"""The feature table of whole symbols, for training and serving alike."""

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl

from stages.common import tables
from stages.common.errors import DataError, few
from stages.common.paths import CLEAN_MARKET
from stages.common.sections import of_symbol
from stages.indicators.days import LevelOf
from stages.indicators.definitions import definitions
from stages.indicators.feature_params import FeatureParams
from stages.indicators.panel import Array, Panel

BLOCK_ROWS = 32_768
"""Fewest rows that a thread works on at a time. With fewer, threads wait for the interpreter. With
more, arrays come from new memory each time, and that costs a third more than the arithmetic."""


def columns(
    params: FeatureParams,
    market: Sequence[str],
    levels: Collection[str] = (),
    symbol_levels: Sequence[str] = (),
) -> list[str]:
    """Every column that the features stage writes, in order."""
    return list(definitions(params, market, levels, symbol_levels))


def features(  # noqa: PLR0913  # what a feature depends on, and which are wanted
    bars: pl.DataFrame,
    market: Mapping[str, pl.DataFrame],
    hourly: pl.DataFrame | None,
    params: FeatureParams,
    threads: int = 1,
    *,
    levels: Collection[str] = (),
    of_symbols: Mapping[LevelOf, pl.DataFrame] | None = None,
    only: Collection[str] | None = None,
) -> pl.DataFrame:
    """Compute every feature of every bar.

    Args:
        bars: whole symbols in the columns of `tables.CLEAN_DAILY`, sorted by (symbol, date).
        market: clean bars of each market series, by name.
        hourly: clean hourly bars of these symbols, if there are any.
        params: which windows.
        threads: that share the work; the result does not depend on it.
        levels: those of the market series that are numbers, not prices.
        of_symbols: per level that has a number for each symbol, and symbol, its clean values.
        only: names of the features to make; every one of `params` by default.

    Returns:
        The columns of `tables.features_contract`, rows as in `bars`.
    """
    volatility = realised_volatility(bars, hourly) if hourly is not None else None
    same_session = params.market_same_session
    panel = Panel.of(bars, market, volatility, of_symbols, market_same_session=same_session)
    symbol_levels = list(dict.fromkeys(level for level, _ in of_symbols or {}))
    wanted = {
        name: feature
        for name, feature in definitions(params, list(market), levels, symbol_levels).items()
        if only is None or name in only
    }
    arrays = {name: np.empty(bars.height, np.float32) for name in wanted}

    def compute(block: tuple[slice, Panel]) -> None:
        rows, part = block
        for name, feature in wanted.items():
            arrays[name][rows] = feature.compute(part)

    blocks = panel.blocks(BLOCK_ROWS)
    with ThreadPoolExecutor(threads) as pool:
        deque(pool.map(compute, blocks), maxlen=0)
    columns = [pl.Series(name, values, nan_to_null=True) for name, values in arrays.items()]
    return bars.select("symbol", "date", "close", "adj_close", "filled").with_columns(columns)


def realised_volatility(bars: pl.DataFrame, hourly: pl.DataFrame) -> Array:
    """Realised volatility per bar: the root of the summed squared log returns of its hours.

    The first hour counts from its open (Andersen and Bollerslev, 1998). NaN where a session has
    no hourly bar.
    """
    # Traded prices suffice: no share is split or goes ex-dividend within a session.
    within = (pl.col("symbol") == pl.col("symbol").shift(1)) & (
        pl.col("date") == pl.col("date").shift(1)
    )
    before = pl.when(within).then(pl.col("close").shift(1)).otherwise("open")
    sessions = (
        hourly.with_columns(squared=(pl.col("close") / before).log().pow(2))
        .group_by("symbol", "date", maintain_order=True)
        .agg(pl.col("squared").sum().sqrt().alias("volatility"))
    )
    joined = bars.select("symbol", "date").join(
        sessions, on=["symbol", "date"], how="left", maintain_order="left"
    )
    return joined["volatility"].fill_null(np.nan).to_numpy()


def market_bars(names: list[str], path: Path = CLEAN_MARKET) -> dict[str, pl.DataFrame]:
    """The clean bars of each market series, by name in the order of `data.market`.

    Raises:
        DataError: the file has no bar of a series.
    """
    if not names:
        return {}
    bars = tables.read(path).partition_by("symbol", as_dict=True)
    there = sorted(name for (name,) in bars)
    missing = [name for name in names if name not in there]
    if missing:
        raise DataError(
            f"{path}: no bar of {few(missing)}, it has {few(there) or 'none'}; "
            "take it out of data.market, or bring its bars"
        )
    return {name: bars[name,] for name in names}


def level_values(
    levels: Sequence[str], symbols: Iterable[str], path: Path = CLEAN_MARKET
) -> dict[LevelOf, pl.DataFrame]:
    """The clean values of each level that has a number for each symbol, by level and symbol.

    Raises:
        DataError: the file has none of a level for a symbol.
    """
    series = {of_symbol(level, symbol): (level, symbol) for level in levels for symbol in symbols}
    bars = market_bars(list(series), path)
    return {series[name]: values for name, values in bars.items()}
