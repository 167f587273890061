"""data/raw/, one file per symbol, read group of symbols by group of symbols."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from stages.common import tables
from stages.common.errors import DataError, StageError, few

GROUP_ROWS = 250_000
"""Rows of a group of symbols: as many as are in memory at a time, and one row group of the clean
tables."""


@dataclass(frozen=True)
class RawFile:
    """One symbol's file.

    Attributes:
        path: where it is.
        symbol: whose bars it holds.
        rows: how many.
        first: the oldest day, for hourly bars in UTC.
        last: the newest day.
    """

    path: Path
    symbol: str
    rows: int
    first: date
    last: date


def catalogue(folder: Path, clock: str) -> list[RawFile]:
    """The files of a folder, sorted by symbol; none without the folder.

    Args:
        folder: such as data/raw/daily.
        clock: the column with the time of a bar.

    Raises:
        InputError: a file is truncated or not Parquet.
        DataError: a file holds no bars or those of several symbols, or two hold the same symbol.
    """
    files = [_described(path, clock) for path in sorted(folder.glob("*.parquet"))]
    files.sort(key=lambda file: file.symbol)
    for one, other in pairwise(files):
        if one.symbol == other.symbol:
            raise DataError(
                f"{one.path} and {other.path.name} both hold {one.symbol}; remove one of them, or "
                "run ingest again"
            )
    return files


def groups(files: Sequence[RawFile], rows: int = GROUP_ROWS) -> list[list[RawFile]]:
    """Group neighbouring files up to a number of rows; a file with more is alone."""
    packed: list[list[RawFile]] = []
    room = 0
    for file in files:
        if packed and file.rows <= room:
            packed[-1].append(file)
            room -= file.rows
        else:
            packed.append([file])
            room = rows - file.rows
    return packed


def read(files: Sequence[RawFile], contract: tables.Contract) -> pl.DataFrame:
    """The bars of a group, symbol after symbol, in the columns of a contract.

    Raises:
        InputError: a file is truncated or not Parquet.
        DataError: a file lacks columns of the contract.
    """
    try:
        bars = pl.read_parquet([file.path for file in files], glob=False)
        return tables.conform(bars, contract, f"{files[0].path.parent}")
    except (pl.exceptions.PolarsError, OSError, StageError):
        # One of them is wrong; read one by one, the error names it.
        parts = (tables.conform(tables.read(file.path), contract, str(file.path)) for file in files)
        return pl.concat(parts)


def _described(path: Path, clock: str) -> RawFile:
    symbols, times, rows = _extent(path, clock)
    if not rows or None in (*symbols, *times):
        raise DataError(f"{path}: holds no bars; remove the file, or run ingest again")
    if symbols[0] != symbols[1]:
        raise DataError(
            f"{path}: holds bars of {symbols[0]} and of {symbols[1]}; a raw file is of one symbol, "
            "run ingest again"
        )
    first, last = (time.date() if isinstance(time, datetime) else time for time in times)
    return RawFile(path, symbols[0], rows, first, last)


def _extent(path: Path, clock: str) -> tuple[tuple[Any, Any], tuple[Any, Any], int]:
    """The least and the greatest symbol and time, from the file's own statistics if it has any."""
    try:
        footer = pq.read_metadata(path)
        place = {name: index for index, name in enumerate(footer.schema.names)}
        bounds = {}
        for name in ("symbol", clock):
            parts = [
                footer.row_group(index).column(place[name]).statistics
                for index in range(footer.num_row_groups)
            ]
            bounds[name] = min(part.min for part in parts), max(part.max for part in parts)
        return bounds["symbol"], bounds[clock], footer.num_rows
    except (pa.ArrowException, OSError, KeyError, AttributeError, ValueError, TypeError):
        # No statistics, or not Parquet: reading the file tells which.
        bars = tables.read(path)
        missing = [name for name in ("symbol", clock) if name not in bars.columns]
        if missing:
            raise DataError(
                f"{path}: no column {few(missing)}; it has {few(bars.columns, 20)}"
            ) from None
        symbol, time = bars["symbol"], bars[clock]
        return (symbol.min(), symbol.max()), (time.min(), time.max()), bars.height
