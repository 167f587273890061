"""The peer of clean and features: only reads and writes the same tables as Parquet.

`python -m benchmarks.copy_tables clean features` runs in a project in which both stages have run. A
step must first read the table that it writes, which the stage need not: the seconds of this read
are printed, so that they can be subtracted.
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
