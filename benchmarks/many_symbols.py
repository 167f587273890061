"""A project with hundreds of symbols: those that it has, over and over under other names."""

from pathlib import Path

import polars as pl

from stages.common.paths import LATEST, MODELS


def widen(folder: Path, symbols: int) -> None:
    """Let the newest bars, the forecasts and their explanations have so many symbols.

    Their md5 in dvc.lock are then others: `dvc commit --force` writes them.

    Args:
        folder: of the project.
        symbols: how many.
    """
    tables = [
        folder / LATEST,
        *folder.glob(f"{MODELS}/*/f*s.parquet"),
        *folder.glob(f"{MODELS}/*/explanations.parquet"),
    ]
    for path in tables:
        rows = pl.read_parquet(path)
        known = rows["symbol"].unique(maintain_order=True).to_list()
        parts = [
            rows.filter(pl.col("symbol") == known[n % len(known)]).with_columns(
                pl.lit(known[n] if n < len(known) else f"{known[n % len(known)]}{n:03}").alias(
                    "symbol"
                )
            )
            for n in range(symbols)
        ]
        pl.concat(parts).sort("symbol", "date").write_parquet(path)
