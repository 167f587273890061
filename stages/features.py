"""Features: every column that `params.yaml` asks for, one row per clean bar.

Reads data/clean/, writes data/features/daily.parquet (`tables.features_contract`), group of
symbols by group of symbols.
"""

import os

import polars as pl

from stages.common import tables
from stages.common.paths import CLEAN_DAILY, CLEAN_HOURLY, FEATURES, FEATURES_DAILY
from stages.common.running import log, progress, run
from stages.common.sections import DataParams, Sections, load
from stages.indicators import feature_table
from stages.indicators.feature_params import FeatureParams
from stages.indicators.feature_table import features, level_values, market_bars


class Settings(Sections):
    """What features obeys."""

    data: DataParams
    features: FeatureParams


def main() -> None:
    """Compute the features of all symbols."""
    settings = load(Settings)
    levels, symbol_levels = settings.data.levels, settings.data.symbol_levels
    market = market_bars(settings.data.market)
    hourly = tables.read(CLEAN_HOURLY) if CLEAN_HOURLY.exists() else None
    threads = os.cpu_count() or 1
    symbols = 0
    with (
        tables.replacing(FEATURES) as folder,
        tables.Writer(folder / FEATURES_DAILY.name) as writer,
    ):
        groups = tables.row_groups(CLEAN_DAILY)
        for bars in progress(groups, "features", tables.count_row_groups(CLEAN_DAILY)):
            names = bars["symbol"].unique()
            of_symbols = level_values(symbol_levels, names)
            hours = (
                hourly.filter(pl.col("symbol").is_in(names.implode()))
                if hourly is not None
                else None
            )
            table = features(
                *(bars, market, hours, settings.features, threads),
                levels=levels,
                of_symbols=of_symbols,
            )
            writer.append(table)
            symbols += len(names)
    columns = feature_table.columns(
        *(settings.features, settings.data.market, levels, symbol_levels)
    )
    log.info(
        "features: %s bars of %s symbols, %s features -> %s",
        f"{writer.rows:,}",
        symbols,
        len(columns),
        FEATURES_DAILY,
    )


if __name__ == "__main__":
    run(main)
