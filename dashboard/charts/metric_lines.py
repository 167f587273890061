"""Stored numbers over time: a line each, with a threshold where there is one."""

from collections.abc import Mapping

import plotly.graph_objects as go
import polars as pl

from dashboard.charts.chart_style import DASHES, OUTCOME, SERIES, styled
from dashboard.plain_text import chart_text

_FEW = 40


def lines(  # noqa: PLR0913  # each is a word about the axis
    history: pl.DataFrame,
    *,
    y: str = "",
    thresholds: Mapping[str, float] | None = None,
    form: str = "",
    logarithmic: bool = False,
    height: int = 280,
) -> go.Figure:
    """A line for each series.

    Args:
        history: `at, series, value`, oldest first; null interrupts a line.
        y: title of the axis, with its unit.
        thresholds: horizontal lines by their names.
        form: of the numbers, in d3's format, such as `.1%`.
        logarithmic: whether the axis is.
        height: in pixels.
    """
    figure = go.Figure()
    for place, ((name,), part) in enumerate(history.group_by("series", maintain_order=True)):
        figure.add_scatter(
            x=part["at"].to_list(),
            y=part["value"].to_list(),
            name=chart_text(name),
            mode="lines+markers" if part.height <= _FEW else "lines",
            line={"color": SERIES[place % len(SERIES)], "dash": DASHES[place % len(DASHES)]},
            marker={"symbol": place},
        )
    for name, value in (thresholds or {}).items():
        if history.height:
            figure.add_scatter(
                x=[history["at"].min(), history["at"].max()],
                y=[value, value],
                name=chart_text(name),
                mode="lines",
                line={"color": OUTCOME, "dash": "dash", "width": 1.5},
            )
    styled(figure, height=height, y=y)
    figure.update_yaxes(tickformat=form, hoverformat=form, type="log" if logarithmic else "linear")
    return figure.update_layout(showlegend=True)
