"""The pipeline as a graph: a box for each stage of `dvc.yaml`, with its state as a sign."""

from collections.abc import Mapping
from typing import Final, NamedTuple

import plotly.graph_objects as go

from dashboard.charts.chart_style import FALL, OUTCOME, RISE, WARNING, styled
from dashboard.charts.pipeline_layout import Edges, layers
from dashboard.plain_text import chart_text

LAYER: Final = 74
"""Pixels from one row of boxes to the next."""

HALF: Final = 0.3
"""Half the height of a box, in rows."""

SIGNS: Final = {
    "up to date": (RISE, "✓"),
    "ran": (RISE, "✓"),
    "changed": (FALL, "●"),
    "waits": (WARNING, "○"),
    "running": ("#0b66c3", "▶"),
    "failed": ("#c0392b", "✗"),
    "unknown": (OUTCOME, "?"),
}
"""Colour and sign of a state."""


class Box(NamedTuple):
    """What a box says: the state of a stage, and a line about it."""

    state: str
    line: str


def pipeline_chart(boxes: Mapping[str, Box], edges: Edges, ink: str) -> go.Figure:
    """The graph, from top to bottom.

    Args:
        boxes: by the name of the stage.
        edges: for every stage, those that read its outputs.
        ink: colour of the text.
    """
    rows, routes = layers(boxes, edges)
    places = {
        name: ((index + 1) / (len(row) + 1), -float(height))
        for height, row in enumerate(rows)
        for index, name in enumerate(row)
    }
    figure = styled(go.Figure(), height=40 + LAYER * len(rows))
    for route in routes:
        points = [places[name] for name in route]
        (first_x, first_y), (last_x, last_y) = points[0], points[-1]
        points[0], points[-1] = (first_x, first_y - HALF), (last_x, last_y + HALF)
        figure.add_scatter(
            x=[x for x, _ in points],
            y=[y for _, y in points],
            mode="lines",
            line={"color": OUTCOME, "width": 1.2, "shape": "linear"},
            hoverinfo="skip",
        )
        (x, y), (from_x, from_y) = points[-1], points[-2]
        figure.add_annotation(
            x=x,
            y=y,
            ax=from_x,
            ay=from_y,
            xref="x",
            yref="y",
            axref="x",
            ayref="y",
            showarrow=True,
            arrowhead=2,
            arrowcolor=OUTCOME,
            arrowwidth=1.2,
        )
    for name, box in boxes.items():
        colour, sign = SIGNS[box.state]
        x, y = places[name]
        figure.add_annotation(
            x=x,
            y=y,
            text=f"<b>{sign} {chart_text(name)}</b><br>{chart_text(box.line)}",
            showarrow=False,
            bordercolor=colour,
            borderwidth=2,
            borderpad=5,
            bgcolor="rgba(127, 140, 141, 0.14)",
            font={"size": 12, "color": ink},
        )
    figure.update_layout(showlegend=False, hovermode=False, dragmode=False)
    figure.update_xaxes(visible=False, range=[0, 1], fixedrange=True)
    figure.update_yaxes(visible=False, range=[-len(rows) + 0.4, 0.6], fixedrange=True)
    return figure
