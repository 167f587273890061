"""Bars from CSV files of the user's own, plain or compressed."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import polars as pl

from stages.common.errors import InputError
from stages.sources import Request, Series
from stages.sources._cells import ROW
from stages.sources._columns import Columns, Delimiter, Mark, Rules
from stages.sources._date_formats import Formats, Zone
from stages.sources._files import EXTRA, Format
from stages.sources._files import fetch as fetch_files
from stages.sources._layout import (
    Encoding,
    content,
    encoding_problem,
    find,
    length_problem,
)


def fetch(  # noqa: PLR0913  # its keyword arguments are what params.yaml may set
    request: Request,
    *,
    columns: Columns = Columns(),  # noqa: B008  # frozen
    date_format: Formats = [],  # noqa: B006  # read only
    thousands: Mark = "",
    decimal: Literal[".", ","] = ".",
    delimiter: Delimiter = ",",
    header: bool = True,
    encoding: Encoding = "utf-8",
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
        header: false where the files have no header row; `columns` then holds positions from 1.
        encoding: of the text; UTF-16 is recognised by its first bytes.
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
        scan=partial(_scan, delimiter=delimiter, header=header, encoding=encoding),
        explain=partial(_explain, delimiter=delimiter, header=header, encoding=encoding),
        remedy="export it again as CSV in UTF-8",
    )
    return fetch_files(request, form, rules)


def _scan(
    file: Path, wanted: Sequence[str], *, delimiter: str, header: bool, encoding: str
) -> pl.LazyFrame:
    source, text = content(file, encoding)
    layout = find(file, text, wanted, delimiter, header=header)
    extra = [f"{EXTRA}{number}" for number in range(layout.extra)]
    scan = pl.scan_csv(
        source,
        has_header=False,
        schema=dict.fromkeys([*layout.names, *extra], pl.String),
        missing_columns="insert",
        separator=layout.delimiter,
        skip_lines=layout.above,
        row_index_name=ROW,
        row_index_offset=layout.above + 1,
        glob=False,
    )
    # An empty line is not a row.
    return scan.filter(~pl.all_horizontal(pl.exclude(ROW).is_null()))


def _explain(
    file: Path, wanted: Sequence[str], *, delimiter: str, header: bool, encoding: str
) -> str | None:
    if encoding == "utf-8" and (problem := encoding_problem(file, wanted)):
        return problem
    _, text = content(file, encoding)
    return length_problem(file, find(file, text, wanted, delimiter, header=header))
