"""Bars from CSV files of the user's own, plain or compressed."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Literal

import polars as pl

from stages.common.errors import InputError
from stages.sources import Request, Series
from stages.sources._bars import ROW, Columns, Delimiter, Mark, Rules
from stages.sources._dates import Formats, Zone
from stages.sources._files import Format
from stages.sources._files import fetch as fetch_files

_HEADER_ROWS = 1


def fetch(  # noqa: PLR0913  # its keyword arguments are what params.yaml may set
    request: Request,
    *,
    columns: Columns = Columns(),  # noqa: B008  # frozen
    date_format: Formats = [],  # noqa: B006  # read only
    thousands: Mark = "",
    decimal: Literal[".", ","] = ".",
    delimiter: Delimiter = ",",
    timezone: Zone | None = None,
) -> Iterator[Series]:
    """Read the files at `data.path`; see `stages.sources._files` for how they may lie there.

    Args:
        request: what is wanted.
        columns: our column names to the file's.
        date_format: one strptime format or several; empty for those that are safe to guess.
        thousands: the mark between thousands, or nothing.
        decimal: the mark before decimals.
        delimiter: the mark between columns.
        timezone: of stamps that are written without an offset; UTC for hourly bars, and the
            exchange's own for daily ones, unless given.

    Raises:
        InputError: a file is missing or cannot be read as bars.
        SourceError: a symbol is not there.
    """
    rules = Rules("csv", columns, date_format, thousands, decimal, timezone)
    if thousands == decimal:
        raise InputError(
            f"{rules.option('thousands')} and {rules.option('decimal')} are both {decimal!r}; "
            "a mark can only have one meaning"
        )
    form = Format(
        name="CSV",
        suffixes=(".csv", ".csv.gz"),
        scan=partial(_scan, delimiter=delimiter),
        remedy="export it again as CSV in UTF-8",
    )
    return fetch_files(request, form, rules)


def _scan(file: Path, delimiter: str) -> pl.LazyFrame:
    scan = pl.scan_csv(
        file,
        separator=delimiter,
        infer_schema=False,
        row_index_name=ROW,
        row_index_offset=_HEADER_ROWS + 1,
        glob=False,
    )
    if any("\0" in name for name in scan.collect_schema()):
        raise OSError("it is text in UTF-16")
    # An empty line is not a row.
    return scan.filter(~pl.all_horizontal(pl.exclude(ROW).is_null()))
