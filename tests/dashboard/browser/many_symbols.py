"""The project with hundreds of symbols: those it has, over and over under other names."""

import polars as pl

from stages.common.paths import LATEST, MODELS
from tests.projects import Project


def widen(project: Project, symbols: int) -> None:
    """Let the newest bars, the forecasts and their explanations have so many symbols."""
    folder = project.folder
    tables = [
        LATEST,
        *(path.relative_to(folder) for path in folder.glob(f"{MODELS}/*/f*s.parquet")),
    ]
    tables += [path.relative_to(folder) for path in folder.glob(f"{MODELS}/*/explanations.parquet")]
    for name in tables:
        rows = pl.read_parquet(folder / name)
        known = rows["symbol"].unique(maintain_order=True).to_list()
        parts = [
            rows.filter(pl.col("symbol") == known[n % len(known)]).with_columns(
                pl.lit(known[n] if n < len(known) else f"{known[n % len(known)]}{n:03}").alias(
                    "symbol"
                )
            )
            for n in range(symbols)
        ]
        pl.concat(parts).sort("symbol", "date").write_parquet(folder / name)
    project.dvc("commit", "--quiet", "--force")
