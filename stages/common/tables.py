"""The column contracts of every table, and how Parquet is read and written.

Contracts are ordered mappings from column to polars type. Prices are in the currency of the
exchange, as traded; volumes in shares (or in the source's own unit for FX); dates are the
session's date at the exchange, timestamps are the opening time of an hourly bar in UTC.
"""

import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Self

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from stages.common.errors import DataError, InputError, few
from stages.common.text import first_line

Contract = Mapping[str, pl.DataType | type[pl.DataType]]

Kind = Literal["daily", "hourly", "market"]
"""The kind of a series of bars; a market series is daily."""

UTC = pl.Datetime("us", "UTC")

PRICES = ("open", "high", "low", "close")
STALE_DAYS = 7
"""A market bar older than this many days says nothing about today."""

ENDED_DAYS = 30
"""A symbol whose newest bar is more than this many days older than the newest of all has ended."""

_OHLCV: Contract = {
    **dict.fromkeys(PRICES, pl.Float64),
    "adj_close": pl.Float64,
    "volume": pl.Float64,
}

RAW_DAILY: Contract = {"symbol": pl.String, "date": pl.Date, **_OHLCV}
"""One session of one symbol, as the source gave it; `adj_close` may be null."""

RAW_HOURLY: Contract = {"symbol": pl.String, "timestamp": UTC, **_OHLCV}
"""One hour of one symbol as the source gave it."""

RAW_BARS: Mapping[Kind, Contract] = {"daily": RAW_DAILY, "hourly": RAW_HOURLY, "market": RAW_DAILY}
"""The contract of each kind of raw bars."""

ACTIONS: Contract = {
    "symbol": pl.String,
    "date": pl.Date,
    "ratio": pl.Float64,
    "dividend": pl.Float64,
}
"""Corporate actions by ex-date: `ratio` new shares for one old (2 for a 2:1 split or a 1:1
bonus; 1 declares the move of that day genuine), `dividend` in currency per share (0 if none)."""

CLEAN_DAILY: Contract = {**RAW_DAILY, "filled": pl.Boolean}
"""One session of one symbol, sorted by (symbol, date), unique. `adj_close` is never null: the
close in units of the symbol's first bar (splits and dividends carried FORWARD), so that a later
action never rewrites an earlier row and nothing of the future is in it. `volume` is null on every
bar of a symbol that has none. `filled` marks a session without a bar, filled as `clean.fill_limit`
allows."""

CLEAN_HOURLY: Contract = {**RAW_HOURLY, "date": pl.Date}
"""One hour of one symbol, sorted by (symbol, timestamp), with the session that it belongs to."""

REJECTED: Contract = {
    "kind": pl.String,
    "symbol": pl.String,
    "date": pl.Date,
    "timestamp": UTC,
    "reason": pl.String,
    **_OHLCV,
}
"""Every row that clean did not let through, with the reason; `timestamp` is null if daily."""

COMPRESSION = "zstd"
COMPRESSION_LEVEL = 1


def clock(kind: Kind) -> str:
    """The column with the time of a bar."""
    return "timestamp" if kind == "hourly" else "date"


def conform(frame: pl.DataFrame, contract: Contract, name: str) -> pl.DataFrame:
    """Select and check the columns of a contract.

    Raises:
        DataError: a column is missing or has another type.
    """
    missing = [column for column in contract if column not in frame.columns]
    if missing:
        raise DataError(f"{name}: no column {few(missing)}; it has {few(frame.columns, 20)}")
    frame = frame.select(list(contract))
    wrong = [
        f"{column} is {frame.schema[column]}, not {dtype}"
        for column, dtype in contract.items()
        if frame.schema[column] != dtype
    ]
    if wrong:
        raise DataError(f"{name}: {few(wrong)}")
    return frame


def read(path: Path, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Read one Parquet file.

    Raises:
        InputError: the file is missing, truncated or not Parquet.
    """
    with _readable(path):
        return pl.read_parquet(path, columns=list(columns) if columns else None, glob=False)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run `dvc repro` or `dvc pull`") from None
    except (pl.exceptions.PolarsError, pa.ArrowException, OSError) as error:
        raise InputError(
            f"{path}: cannot be read as Parquet ({first_line(error)}); "
            "fetch or export the file again"
        ) from None


def file_bytes(path: Path) -> bytes:
    """The content of a file that a former stage wrote.

    Raises:
        InputError: the file is missing.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run `dvc repro` or `dvc pull`") from None


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary file or folder name beside `path` and rename it to `path` at the end.

    Until then a former output stays as it was; on any error the temporary is removed. So a file
    at `path` is complete: a stage that is killed leaves nothing half-written.
    """
    partial = path.with_name(f".{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove(partial)
    try:
        yield partial
        if partial.is_dir():
            _remove(path)
        partial.replace(path)
    finally:
        _remove(partial)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def keep_only(folder: Path, names: Collection[str]) -> None:
    """Remove the folders in `folder` that are not named: those of a former model or horizon.

    Otherwise a stage that depends on the whole folder would depend on what a fresh clone lacks.
    """
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and entry.name not in names and not entry.name.startswith("."):
            shutil.rmtree(entry)


def write(frame: pl.DataFrame, path: Path) -> None:
    """Write one table as one Parquet file, whole or not at all."""
    with replacing(path) as partial, Writer(partial) as writer:
        writer.append(frame)


class Writer:
    """Writes a Parquet file in row groups, one `append` each.

    A panel of any size needs only the memory of two groups of symbols: one is written while the
    next is computed. Bytes depend on the rows and the groups alone.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: pq.ParquetWriter | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="parquet")
        self._pending: Future[None] | None = None
        self.rows = 0

    def append(self, frame: pl.DataFrame) -> None:
        """Add a row group; every call must have the same columns."""
        self._settle()
        self.rows += frame.height
        self._pending = self._thread.submit(self._write, frame)

    def _write(self, frame: pl.DataFrame) -> None:
        table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        if self._writer is None:
            strings = [name for name, dtype in frame.schema.items() if dtype == pl.String]
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(
                self._path,
                table.schema,
                compression=COMPRESSION,
                compression_level=COMPRESSION_LEVEL,
                use_dictionary=strings,
            )
        self._writer.write_table(table, row_group_size=max(1, table.num_rows))

    def _settle(self) -> None:
        if self._pending is not None:
            self._pending.result()
            self._pending = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._settle()
        finally:
            self._thread.shutdown()
            if self._writer is not None:
                self._writer.close()


def features_contract(features: Sequence[str]) -> Contract:
    """The feature table: one row per clean bar, features null where not yet known."""
    return {
        "symbol": pl.String,
        "date": pl.Date,
        "close": pl.Float64,
        "adj_close": pl.Float64,
        "filled": pl.Boolean,
        **dict.fromkeys(features, pl.Float32),
    }


def dataset_contract(features: Sequence[str]) -> Contract:
    """A dataset: the target and the features that a model sees, none of them null.

    `target` is the return from `date` to `target_date` as a fraction.
    """
    return {
        "symbol": pl.String,
        "date": pl.Date,
        "target_date": pl.Date,
        "close": pl.Float64,
        "target": pl.Float64,
        **dict.fromkeys(features, pl.Float32),
    }


def empty(contract: Contract) -> pl.DataFrame:
    """A table of no rows with the columns of a contract."""
    return pl.DataFrame(schema=dict(contract))


def row_groups(path: Path, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
    """Read a table that `Writer` wrote, one row group (whole symbols) at a time.

    Raises:
        InputError: as `read`.
    """
    wanted = list(columns) if columns else None
    with _readable(path), pq.ParquetFile(path) as file:
        for index in range(file.num_row_groups):
            table: pa.Table = file.read_row_group(index, columns=wanted)
            frame = pl.from_arrow(table)
            assert isinstance(frame, pl.DataFrame)  # noqa: S101  # a table, never a column
            yield frame


def count_row_groups(path: Path) -> int:
    """How many groups `row_groups` will give.

    Raises:
        InputError: as `read`.
    """
    with _readable(path), pq.ParquetFile(path) as file:
        return int(file.num_row_groups)


def of_volume(names: Sequence[str]) -> list[str]:
    """The features among `names` that are computed from the volume, and unknown without it."""
    return [name for name in names if name == "volume" or name.startswith("relative_volume_")]


def of_hours(names: Sequence[str]) -> list[str]:
    """The features among `names` that are computed from hourly bars, and unknown without them."""
    return [name for name in names if name == "hourly_volatility"]


def without_volume(bars: pl.DataFrame) -> list[str]:
    """The symbols, each with all of its bars, that have no volume on any of them, sorted."""
    known = bars.group_by("symbol").agg(pl.col("volume").count())
    return known.filter(pl.col("volume") == 0)["symbol"].sort().to_list()
