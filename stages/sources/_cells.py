"""Cells of a table that cannot be read, named by place and text."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from stages.common.errors import InputError
from stages.common.text import plural

ROW = "__row__"
"""The row of the file that a row came from, as an editor or a spreadsheet counts it."""


class BadCells(ValueError):  # noqa: N818  # becomes an InputError once file and column are known
    """Cells of one column cannot be read.

    Args:
        at: their positions in the column, from 0; at least one.
        problem: what is wrong with the first, and the remedy.
    """

    def __init__(self, at: Sequence[int], problem: str) -> None:
        super().__init__(problem)
        self.at = at
        self.problem = problem


def located(error: BadCells, file: Path, column: str, rows: pl.Series) -> InputError:
    """Say in which file, column and row; rows count as a spreadsheet shows them."""
    others = len(error.at) - 1
    more = f" ({plural(others, 'more row')} like it)" if others else ""
    return InputError(f"{file}: column {column}, row {rows[error.at[0]]:,}: {error.problem}{more}")
