"""Two revisions in one chart."""

from collections.abc import Iterator
from typing import Final

import polars as pl

from dashboard.plain_text import chart_text

ROW: Final = 22
"""Pixels of a line of a chart with names on its vertical axis."""


def revisions(rows: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    """The rows of each revision with its name; of a single one all rows, with an empty name."""
    if "revision" not in rows.columns:
        yield "", rows
        return
    for (name,), own in rows.group_by(["revision"], maintain_order=True):
        yield chart_text(name), own
