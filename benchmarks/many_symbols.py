"""A project with hundreds of symbols: those that it has, over and over under other names."""

from pathlib import Path

import polars as pl

from stages.common.paths import LATEST, MODELS


def widen(folder: Path, symbols: int) -> None:
    """Let the newest bars, the forecasts and their explanations have so many symbols.

    Their md5 in dvc.lock are then others: `dvc commit --force` writes them.

    Args:
        folder: of the project.
        symbols: with forecasts. Others, such as an index of the market, stay as they are.
    """
    forecasts = [*folder.glob(f"{MODELS}/*/f*s.parquet")]
    known = pl.read_parquet(forecasts[0])["symbol"].unique().sort().to_list()
    names = {
        f"{known[n % len(known)]}{n:03}" if n >= len(known) else known[n]: known[n % len(known)]
        for n in range(symbols)
    }
    copies = pl.DataFrame({"name": list(names), "symbol": list(names.values())})
    explanations = folder.glob(f"{MODELS}/*/explanations.parquet")
    for path in (folder / LATEST, *forecasts, *explanations):
        rows = pl.read_parquet(path)
        wide = rows.join(copies, "symbol").with_columns(symbol="name").select(rows.columns)
        others = rows.filter(~pl.col("symbol").is_in(known))
        pl.concat([wide, others]).sort("symbol", "date").write_parquet(path)
