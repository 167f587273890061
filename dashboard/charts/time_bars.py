"""Spans of time as bars, in rows that have a name."""

from collections.abc import Sequence
from typing import Final

import plotly.graph_objects as go
import polars as pl

from dashboard.charts.chart_style import DASHES, SERIES, styled
from dashboard.plain_text import chart_text
from stages.common import tables

SPANS: Final[tables.Contract] = {
    "row": pl.String,
    "begin": tables.UTC,
    "end": tables.UTC,
    "kind": pl.String,
    "says": pl.String,
}
"""What `bars` draws, a span each: the name of its row, both times (the same for an event of one
moment), its kind, and what a pointer on it shows."""

_ROW = 30
_FRAME = 80
_SYMBOLS = ("circle", "diamond", "square", "x", "triangle-up", "triangle-down", "star")


def bars(spans: pl.DataFrame, kinds: Sequence[str], colours: Sequence[str] = SERIES) -> go.Figure:
    """A line from begin to end for each span, with a sign at both ends.

    Args:
        spans: see `SPANS`.
        kinds: in the order of the legend; each has a colour, a dash and a sign.
        colours: of the kinds.
    """
    figure = go.Figure()
    for place, kind in enumerate(kinds):
        own = spans.filter(pl.col("kind") == kind)
        if own.is_empty():
            continue
        x, y, text = [], [], []
        for row in own.iter_rows(named=True):
            x += [row["begin"], row["end"], None]
            y += [chart_text(row["row"])] * 3
            text += [chart_text(row["says"])] * 3
        figure.add_scatter(
            x=x,
            y=y,
            text=text,
            name=chart_text(kind),
            mode="lines+markers",
            line={
                "width": 6,
                "color": colours[place % len(colours)],
                "dash": DASHES[place % len(DASHES)],
            },
            marker={"size": 10, "symbol": _SYMBOLS[place % len(_SYMBOLS)]},
            hovertemplate="%{x|%Y-%m-%d %H:%M} UTC<br>%{text}<extra></extra>",
        )
    rows = list(dict.fromkeys(map(chart_text, spans["row"])))
    figure.update_yaxes(
        type="category",
        categoryorder="array",
        categoryarray=rows[::-1],
        range=[-0.6, len(rows) - 0.4],
    )
    styled(figure, height=_FRAME + _ROW * max(1, len(rows)))
    return figure.update_layout(hovermode="closest", showlegend=True)
