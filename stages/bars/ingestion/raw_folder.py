"""What `data/raw/` holds: one Parquet file per kind of bars and symbol, and the actions."""

from collections.abc import Iterator, Mapping
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import cast, get_args
from urllib.parse import quote, unquote

import polars as pl

from stages.common import tables
from stages.common.tables import RAW_BARS, Kind, clock

_PLAIN = " !#$&'()+,-.=@^_~"
"""Marks that stay as they are in a file name, beside letters and digits."""


def file_name(symbol: str) -> str:
    """The name of a symbol's file: other marks percent-encoded, so that `unquote` undoes it.

    `EUR/USD` becomes `EUR%2FUSD.parquet`; `M&M`, `TCS.NS` and `^GSPC` stay.
    """
    name = quote(symbol, safe=_PLAIN)
    # A leading point would hide the file.
    return f"{'%2E' + name[1:] if name.startswith('.') else name}.parquet"


class RawFolder(Mapping[tuple[Kind, str], date]):
    """The newest day of each kind and symbol in data/raw/, and the bars themselves.

    A file is read only when a source asks for it, so that a local source does not pay for it.
    """

    def __init__(self, raw: Path) -> None:
        self._raw = raw

    def __getitem__(self, key: tuple[Kind, str]) -> date:
        file = self._file(*key)
        if not file.is_file():
            raise KeyError(key)
        return cast("date", tables.read(file, [clock(key[0])]).to_series().dt.date().max())

    def __iter__(self) -> Iterator[tuple[Kind, str]]:
        for kind in get_args(Kind):
            for file in sorted((self._raw / kind).glob("*.parquet")):
                yield kind, unquote(file.stem)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def bars(self, kind: Kind, symbol: str) -> pl.DataFrame:
        """The bars of a series; empty if it is not there."""
        file = self._file(kind, symbol)
        return tables.read(file) if file.is_file() else tables.empty(RAW_BARS[kind])

    def actions(self, symbol: str) -> pl.DataFrame:
        """The corporate actions of one symbol."""
        return self._actions.filter(pl.col("symbol") == symbol)

    @cached_property
    def _actions(self) -> pl.DataFrame:
        return tables.read(self._raw / "actions.parquet")

    def _file(self, kind: Kind, symbol: str) -> Path:
        return self._raw / kind / file_name(symbol)
