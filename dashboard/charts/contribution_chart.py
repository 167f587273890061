"""What each feature adds to a forecast."""

from collections.abc import Mapping

import plotly.graph_objects as go

from dashboard.charts.chart_style import FALL, RISE, styled
from dashboard.plain_text import chart_text

MOST = 10
"""Features with a bar of their own, the largest; the others are one bar together."""


def contribution_chart(contributions: Mapping[str, float]) -> go.Figure:
    """Bars in percentage points of return, the largest at the top.

    Args:
        contributions: fractions by feature, the largest first; those of 0 are left out.
    """
    parts = [(name, value) for name, value in contributions.items() if value]
    rows = parts[:MOST]
    if rest := parts[MOST:]:
        rows.append((f"other features ({len(rest)})", sum(value for _, value in rest)))
    names = [chart_text(name) for name, _ in rows]
    values = [100 * value for _, value in rows]
    figure = go.Figure(
        go.Bar(
            x=values,
            y=names,
            orientation="h",
            marker_color=[RISE if value > 0 else FALL for value in values],
            # The sign is also written: the colour is not the only one.
            text=[f"{value:+.3f}" for value in values],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:+.4f} points<extra></extra>",
        )
    )
    # Room for the numbers beside the bars.
    reach = 1.35 * max(map(abs, values), default=0)
    styled(figure, height=90 + 26 * len(rows), x="Percentage points of return")
    figure.update_xaxes(zeroline=True, range=[-reach, reach], nticks=5)
    figure.update_yaxes(type="category", autorange="reversed")
    return figure.update_layout(hovermode="closest", showlegend=False)
