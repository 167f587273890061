"""The peer of clean and features: read and write the same tables as Parquet, and nothing else.

`python -m benchmarks.copy_tables clean features` runs in a project that has been through both
stages. What a step writes must come from somewhere: that read is not the stage's, and the seconds
that it took are printed, to be taken off.
"""

import sys
import time
from pathlib import Path

import polars as pl

from stages.common.paths import CLEAN_DAILY, FEATURES_DAILY, RAW
from stages.common.tables import COMPRESSION_LEVEL

STEPS = {
    "clean": (RAW / "daily" / "*.parquet", CLEAN_DAILY),
    "features": (CLEAN_DAILY, FEATURES_DAILY),
}


def copy(source: Path, target: Path) -> float:
    """Read the one table, write the other; returns the seconds not to count."""
    pl.read_parquet(source)
    start = time.perf_counter()
    table = pl.read_parquet(target)
    uncounted = time.perf_counter() - start
    copied = target.with_name(f"{target.stem}.copy")
    table.write_parquet(copied, compression="zstd", compression_level=COMPRESSION_LEVEL)
    copied.unlink()
    return uncounted


if __name__ == "__main__":
    print(sum(copy(*STEPS[step]) for step in sys.argv[1:]))
