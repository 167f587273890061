"""Bars from Parquet files of the user's own."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from stages.sources import Request, Series
from stages.sources._cells import ROW
from stages.sources._columns import Columns, Mark, Rules
from stages.sources._date_formats import Formats, Zone
from stages.sources._files import Format
from stages.sources._files import fetch as fetch_files


def fetch(
    request: Request,
    *,
    columns: Columns = Columns(),  # noqa: B008  # frozen
    date_format: Formats = [],  # noqa: B006  # read only
    thousands: Mark = "",
    timezone: Zone | None = None,
) -> Iterator[Series]:
    """Read the files at `data.path`; see `stages.sources._files` for how they may lie there.

    Args:
        request: what is wanted.
        columns: our column names to the file's.
        date_format: of dates that are text; see `csv.fetch`.
        thousands: the mark between thousands in numbers that are text, or nothing.
        timezone: of stamps that have no zone of their own; see `csv.fetch`.

    Raises:
        InputError: a file is missing or cannot be read as bars.
        SourceError: a symbol is not there.
    """
    rules = Rules("parquet", columns, date_format, thousands, ".", timezone)
    form = Format(
        name="Parquet",
        suffixes=(".parquet", ".pq"),
        scan=_scan,
        remedy="fetch or export the file again",
    )
    return fetch_files(request, form, rules)


def _scan(file: Path, wanted: Sequence[str]) -> pl.LazyFrame:
    return pl.scan_parquet(
        file,
        row_index_name=ROW,
        row_index_offset=1,
        glob=False,
        hive_partitioning=False,
    )
