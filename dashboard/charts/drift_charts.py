"""Drift: how unusual each feature was over time, and both distributions of one feature."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import polars as pl

from dashboard.charts.chart_style import BAND, FALL, FORECAST, INK, OUTCOME, styled
from dashboard.plain_text import chart_text

_ROW = 22
_FRAME = 90
_RARE = 0.01
_RAREST = 4.0


def rarity(history: pl.DataFrame) -> go.Figure:
    """A row for each feature, a column for each check; a darker cell is rarer without drift.

    Args:
        history: `at, of, value`: the feature, and the chance of such a window without drift. A
            chance below 1 % is also written.
    """
    times = history["at"].unique().sort()
    wide = history.sort("at").pivot("at", index="of", values="value", aggregate_function="last")
    names = wide["of"].to_list()
    p = wide.drop("of").to_numpy().astype(float)
    with np.errstate(divide="ignore"):
        depth = np.minimum(-np.log10(p), _RAREST)
    written = [[f"{value:.1g}" if value <= _RARE else "" for value in row] for row in p]
    figure = go.Figure(
        go.Heatmap(
            x=[f"{at:%Y-%m-%d<br>%H:%M}" for at in times],
            y=[chart_text(name) for name in names],
            z=depth,
            zmin=0,
            zmax=_RAREST,
            colorscale=[(0, "rgba(127, 140, 141, 0.12)"), (0.5, "#f2c879"), (1, FALL)],
            customdata=p,
            text=written,
            texttemplate="%{text}",
            textfont={"color": INK, "size": 10},
            xgap=1,
            ygap=1,
            colorbar={
                "title": "p",
                "tickvals": [0, 1, 2, 3, 4],
                "ticktext": ["1", "0.1", "0.01", "0.001", "0.0001"],
                "thickness": 12,
            },
            hovertemplate="%{y}<br>%{x}: p %{customdata:.2g}<extra></extra>",
        )
    )
    figure.update_yaxes(autorange="reversed", showgrid=False, dtick=1)
    figure.update_xaxes(type="category", showgrid=False, nticks=6)
    styled(figure, height=_FRAME + _ROW * max(1, len(names)))
    return figure.update_layout(hovermode="closest")


def distributions(histogram: Mapping[str, Any], feature: str) -> go.Figure:
    """Shares of the rows by value, of the training table and of the window.

    Args:
        histogram: `low, high, reference, window`, as the drift document has it.
        feature: its name.
    """
    bins = len(histogram["reference"])
    edges = np.linspace(histogram["low"], histogram["high"], bins + 1)
    figure = go.Figure()
    figure.add_bar(
        x=(edges[:-1] + edges[1:]) / 2,
        y=_shares(histogram["reference"]),
        width=np.diff(edges),
        name="training",
        marker={"color": BAND, "line": {"color": OUTCOME, "width": 1}},
    )
    window = _shares(histogram["window"])
    figure.add_scatter(
        x=edges,
        y=[*window, window[-1]],
        name="window",
        mode="lines",
        line={"color": FORECAST, "shape": "hv", "width": 2.5},
    )
    styled(figure, height=300, x=chart_text(feature), y="share of the rows")
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    return figure


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts) or 1
    return [count / total for count in counts]
