"""Rows below the bars of a user's file: a total, an average, the name of the source."""

import re
from pathlib import Path

import polars as pl

from stages.common import tables
from stages.common.running import log
from stages.sources._cells import ROW

_SUMMARY = re.compile(
    r"\s*(?:grand |sub)?(?:total|sum|summary|average|avg|mean|median|min|minimum|max|maximum|count"
    r"|highest|lowest|change|difference|source|note|notes|disclaimer)\b",
    re.IGNORECASE,
)
"""Words with which a row below the bars begins."""

_WORD = re.compile(r"[^\W\d_]{2,}")
_SENTENCE = 3

_LAST = 5
"""How many such rows there may be."""


def without_summary(raw: pl.DataFrame, columns: dict[str, str], file: Path) -> pl.DataFrame:
    """Drop the rows below the bars: a total, an average, the name of the source.

    These are the last rows whose date is such a word, or is not a date in a row without a price.
    The log names each of them.
    """
    dates = raw[columns.get("date") or columns["timestamp"]]
    if dates.dtype != pl.String:
        return raw
    prices = raw.select(columns[name] for name in tables.PRICES)
    priced = prices.select(pl.any_horizontal(pl.all().is_not_null())).to_series()
    end = raw.height
    while end > max(1, raw.height - _LAST) and (text := dates[end - 1]) is not None:
        word = bool(_SUMMARY.match(text))
        # A date has one word at most, the name of its month.
        dated = any(mark.isdigit() for mark in text) and len(_WORD.findall(text)) < _SENTENCE
        if not word and (priced[end - 1] or dated):
            break
        end -= 1
        log.info("%s: row %s (%s) is not a bar, and is left out", file, raw[ROW][end], text)
    return raw.head(end)
