"""The history of checks as a strip: a row a check, a cell a span of time."""

from datetime import datetime, timedelta

import plotly.graph_objects as go
import polars as pl

from dashboard.charts.chart_style import FALL, INK, WARNING, styled
from dashboard.plain_text import chart_text

CELLS = 30
"""Spans of time in a strip: as many as have room for a letter on a phone."""

LETTERS = ("·", "W", "C")
"""Of 0, 1 and 2: well, warning, critical."""

_COLOURS = ("#9fd8c5", WARNING, FALL)
_ROW = 26
_FRAME = 60


def cells(history: pl.DataFrame, begin: datetime, end: datetime) -> pl.DataFrame:
    """The worst state of each check in each span of time.

    Args:
        history: `at, of, horizon, greatest`.
        begin, end: of the strip, in UTC; they differ.

    Returns:
        `check`, then a column for each span by its number, in the order of the names of the checks.
    """
    width = (end - begin) / CELLS
    number = ((pl.col("at") - begin).dt.total_seconds() / width.total_seconds()).cast(pl.Int64)
    name = pl.concat_str("of", pl.col("horizon"), separator=" ").str.strip_chars()
    worst = (
        history.select(check=name, cell=number.clip(0, CELLS - 1), state="greatest")
        .drop_nulls("state")
        .group_by("check", "cell")
        .agg(pl.col("state").max())
    )
    return worst.pivot("cell", index="check", values="state").sort("check")


def strip(history: pl.DataFrame, begin: datetime, end: datetime) -> go.Figure:
    """A figure of `cells`: a colour and a letter each; where nothing was measured, nothing.

    It is at least `CELLS` minutes long: the first measurement may be of this moment.
    """
    begin = min(begin, end - CELLS * timedelta(minutes=1))
    states_of = cells(history, begin, end)
    names = [chart_text(name) for name in states_of["check"]]
    places = [str(number) for number in range(CELLS)]
    states = [
        [row.get(place) for place in places]
        for row in states_of.drop("check").iter_rows(named=True)
    ]
    letters = [["" if s is None else LETTERS[int(s)] for s in row] for row in states]
    width = (end - begin) / CELLS
    starts = [begin + width * number for number in range(CELLS)]
    steps = [(share, colour) for n, colour in enumerate(_COLOURS) for share in (n / 3, (n + 1) / 3)]
    figure = go.Figure(
        go.Heatmap(
            x=[start + width / 2 for start in starts],
            y=names,
            z=states,
            zmin=0,
            zmax=2,
            colorscale=steps,
            showscale=False,
            xgap=1,
            ygap=2,
            text=letters,
            texttemplate="%{text}",
            textfont={"color": INK, "size": 10},
            hovertemplate="%{y}<br>%{x|%Y-%m-%d %H:%M} UTC: %{text}<extra></extra>",
        )
    )
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_xaxes(showgrid=False, range=[begin, end])
    styled(figure, height=_FRAME + _ROW * max(1, len(names)))
    return figure.update_layout(hovermode="closest")
