"""The forecasts of many symbols beside each other: a point and a bar for its interval."""

import plotly.graph_objects as go
import polars as pl

from dashboard.charts.chart_style import FORECAST, INTERVAL, OUTCOME, styled
from dashboard.plain_text import chart_text

ROW = 26
"""Pixels of a symbol."""

LABEL = 20
"""Letters of a symbol beside its bar; on a phone, more would leave no room for the bar."""


def interval_bars(forecasts: pl.DataFrame) -> go.Figure:
    """A row for each forecast, in the order of the frame.

    Args:
        forecasts: symbol, predicted_return, lower_return, upper_return (fractions), and stale.
    """
    percent = forecasts.with_columns(pl.col(pl.Float64) * 100)
    rows = percent.select("symbol", "stale").rows()
    names = [chart_text(symbol) for symbol, _ in rows]
    labels = [
        chart_text(symbol if len(symbol) <= LABEL else f"{symbol[: LABEL - 1]}…")
        + (" (stale)" if stale else "")
        for symbol, stale in rows
    ]
    centre = percent["predicted_return"]
    points = go.Scatter(
        x=centre.to_list(),
        y=names,
        mode="markers",
        marker={
            "color": [OUTCOME if stale else FORECAST for stale in percent["stale"]],
            "symbol": ["circle-open" if stale else "circle" for stale in percent["stale"]],
            "size": 9,
        },
        error_x={
            "type": "data",
            "symmetric": False,
            "array": (percent["upper_return"] - centre).to_list(),
            "arrayminus": (centre - percent["lower_return"]).to_list(),
            "thickness": 3,
            "width": 0,
            "color": INTERVAL,
        },
        customdata=percent.select("lower_return", "upper_return").rows(),
        hovertemplate="%{y}: %{x:+.2f} %, %{customdata[0]:+.2f} to %{customdata[1]:+.2f} %"
        "<extra></extra>",
    )
    figure = styled(go.Figure(points), height=70 + ROW * len(names), x="return, %")
    figure.update_layout(hovermode="closest", showlegend=False)
    figure.update_xaxes(zeroline=True, zerolinewidth=1, zerolinecolor=OUTCOME)
    figure.update_yaxes(
        type="category",
        tickvals=names,
        ticktext=labels,
        autorange="reversed",
        showgrid=False,
        fixedrange=True,
    )
    return figure
