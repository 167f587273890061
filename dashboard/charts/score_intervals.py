"""Live scores with their intervals, beside those of the hold-out and of the yardstick."""

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboard.charts.chart_style import FALL, FORECAST, RISE, styled

_ROW = 54
_FRAME = 60
_SIGNS = (("held_out", "hold-out", "diamond", RISE), ("yardstick", "yardstick", "x", FALL))


def intervals(scores: Mapping[str, Any]) -> go.Figure:
    """A row a score, each on an axis of its own: scores have different units.

    Args:
        scores: by name, from top to bottom: `live, interval, held_out, yardstick`, as the
            performance document has them; each may be null.
    """
    figure = make_subplots(rows=len(scores), cols=1, vertical_spacing=0.45 / len(scores))
    for row, (name, score) in enumerate(scores.items(), start=1):
        for key, label, symbol, colour in _SIGNS:
            figure.add_scatter(
                x=[score[key]],
                y=[name],
                name=label,
                legendgroup=label,
                showlegend=row == 1,
                mode="markers",
                marker={"symbol": f"{symbol}-open" if symbol != "x" else symbol, "size": 10},
                marker_color=colour,
                row=row,
                col=1,
            )
        low, high = score["interval"] or (score["live"], score["live"])
        known = score["live"] is not None
        figure.add_scatter(
            x=[score["live"]],
            y=[name],
            name="live, 95 %",
            legendgroup="live",
            showlegend=row == 1,
            mode="markers",
            marker={"symbol": "circle", "size": 9, "color": FORECAST},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [high - score["live"] if known else 0],
                "arrayminus": [score["live"] - low if known else 0],
                "color": FORECAST,
            },
            row=row,
            col=1,
        )
    figure.update_xaxes(tickformat=".3~g", nticks=5, tickfont={"size": 10})
    styled(figure, height=_FRAME + _ROW * len(scores))
    figure.update_yaxes(showgrid=False)
    return figure.update_layout(hovermode="closest", legend={"y": 1.01})
