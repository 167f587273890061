"""A dataset as arrays, for training and evaluation."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from stages.common import tables

if TYPE_CHECKING:
    from stages.forecast.contract import Matrix, Vector

Symbols = npt.NDArray[np.int64]


class Dataset:
    """A dataset as arrays, its features in the order of the file.

    Args:
        path: a file in the columns of `tables.dataset_contract`.
        names: the symbols that `symbol` counts, by default those of the file.
        only_named: leave out the rows of other symbols.

    Attributes:
        path, features: its file, and the names of its features.
        rows: the columns that are not features.
        x, y: features (rows, features), targets (rows,).
        symbol: index of each row's symbol in `names`, (rows,); -1 for another symbol.
        left_out: the other symbols, where only the named ones are kept.

    Raises:
        InputError: the file is missing or cannot be read.
    """

    def __init__(
        self, path: Path, names: list[str] | None = None, *, only_named: bool = False
    ) -> None:
        self.path = path
        every = tables.read(path, list(tables.dataset_contract([])))
        self.names: list[str] = names or every["symbol"].unique().sort().to_list()
        named = every["symbol"].is_in(self.names) if only_named else None
        self.rows = every if named is None else every.filter(named)
        self.left_out: list[str] = (
            [] if named is None else every.filter(~named)["symbol"].unique().sort().to_list()
        )
        self.features = list(pl.read_parquet_schema(path))[every.width :]
        self.x: Matrix = np.empty((self.rows.height, len(self.features)), dtype=np.float32)
        # Column by column, so that the features are in memory once.
        for column, name in enumerate(self.features):
            values = tables.read(path, [name])[name]
            self.x[:, column] = values if named is None else values.filter(named)
        self.y: Vector = self.rows["target"].to_numpy()
        self.symbol: Symbols = (
            self.rows["symbol"]
            .replace_strict(self.names, range(len(self.names)), default=-1, return_dtype=pl.Int64)
            .to_numpy()
        )
        self.dates = self.rows["date"].to_physical().to_numpy()
        self.target_dates = self.rows["target_date"].to_physical().to_numpy()


class Joined:
    """The rows of several datasets of the same symbols and features, one after the other.

    Attributes:
        x, y: features (rows, features), targets (rows,).
        symbol: index of each row's symbol in `names`, (rows,); -1 for another symbol.
    """

    def __init__(self, parts: Sequence[Dataset]) -> None:
        self.names = parts[0].names
        self.x: Matrix = np.concatenate([part.x for part in parts])
        self.y: Vector = np.concatenate([part.y for part in parts])
        self.symbol: Symbols = np.concatenate([part.symbol for part in parts])
