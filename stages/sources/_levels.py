"""From a user's file of numbers to market series: a number a day, or by its publication."""

from pathlib import Path

import polars as pl

from stages.common.errors import InputError, few
from stages.common.tables import PRICES, UTC
from stages.sources import PUBLISHED, WRITTEN
from stages.sources._bars import bars, publications
from stages.sources._cells import ROW, BadCells, located
from stages.sources._columns import Rules
from stages.sources._layout import refuse_twins

VALUE = "value"


def numbers(
    raw: pl.DataFrame, file: Path, rules: Rules, name: str, *, by_symbol: bool
) -> pl.DataFrame:
    """Numbers in the columns of `tables.RAW_DAILY` and `PUBLISHED`, in the file's order.

    Each stands as open, high, low and close.

    Args:
        raw: the columns of the file, and `ROW`.
        file: for the messages.
        rules: how texts are read.
        name: of the series.
        by_symbol: whether each symbol has numbers of its own.

    Raises:
        InputError: a column is missing, or a cell cannot be read.
    """
    columns = _columns(raw, file, name, by_symbol=by_symbol)
    stamps = columns.pop(PUBLISHED, None)
    table = bars(raw, columns, file, rules, symbol=None if by_symbol else name)
    nameless = (table["symbol"].fill_null("") == "").arg_true()
    if len(nameless):
        row = raw[ROW][nameless[0]]
        raise InputError(f"{file}: column symbol, row {row:,}: is empty; a value needs its symbol")
    if WRITTEN in table.columns:
        raise InputError(
            f"{file}: column date has a time of day; call the column {PUBLISHED} if the values "
            "were published then, or write dates"
        )
    published = pl.Series([None] * raw.height, dtype=UTC)
    if stamps is not None:
        try:
            published = publications(raw[stamps], rules, needed="date" not in columns)
        except BadCells as error:
            raise located(error, file, PUBLISHED, raw[ROW]) from None
    close = pl.col("close")
    return table.with_columns(**dict.fromkeys(PRICES, close)).with_columns(
        published.alias(PUBLISHED)
    )


def _columns(raw: pl.DataFrame, file: Path, name: str, *, by_symbol: bool) -> dict[str, str]:
    """Our names to the names in the header."""
    header = [column for column in raw.columns if column != ROW]
    known = ("symbol", "date", PUBLISHED, VALUE)
    refuse_twins(file, header, known)
    there = {column.strip(): column for column in header if column.strip() in known}
    missing = [column for column in (VALUE, *(["symbol"] * by_symbol)) if column not in there]
    if not {"date", PUBLISHED} & {*there}:
        missing.append(f"date or {PUBLISHED}")
    if missing:
        raise InputError(f"{file}: no column {few(missing)}; it has {few(header, 20)}")
    if "symbol" in there and not by_symbol:
        raise InputError(
            f"{file}: has a column symbol, and data.market names {name}; name it in "
            "data.symbol_levels instead, or take the column out"
        )
    there["close"] = there.pop(VALUE)
    return there
