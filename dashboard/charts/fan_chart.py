"""Candles of the last bars, and ahead of them the newest forecast of each horizon."""

from collections.abc import Sequence
from itertools import pairwise

import plotly.graph_objects as go
import polars as pl

from dashboard.charts.chart_style import BAND, FALL, FORECAST, OUTCOME, RISE, styled
from dashboard.plain_text import chart_text

TICKS = 6
"""Labels of the horizontal axis, at most; more would overlap on a phone."""


def fan_chart(sessions: Sequence[str], bars: pl.DataFrame, forecasts: pl.DataFrame) -> go.Figure:
    """The chart; a category a session, so that weekends and holidays leave no gaps.

    Args:
        sessions: every session that is shown, past and to come, ISO 8601.
        bars: `date`, `open`, `high`, `low` and `close`; those with only a close are a line.
        forecasts: a row a horizon: `horizon`, `as_of`, `target_date`, `last_close`, `level`, and
            `{predicted,lower,upper}_close`. Those without a target date are left out.
    """
    figure = go.Figure()
    whole = bars.drop_nulls("open")
    alone = bars.filter(pl.col("open").is_null()).drop_nulls("close")
    if alone.height:
        _line(
            figure,
            alone["date"].to_list(),
            alone["close"].to_list(),
            name="close",
            line={"color": OUTCOME},
        )
    if whole.height:
        figure.add_candlestick(
            x=whole["date"].to_list(),
            **{name: whole[name].to_list() for name in ("open", "high", "low", "close")},
            name="bar",
            # Hollow is a rise, filled a fall: the colour is not the only sign.
            increasing={"line": {"color": RISE, "width": 1}, "fillcolor": "rgba(0,0,0,0)"},
            decreasing={"line": {"color": FALL, "width": 1}, "fillcolor": FALL},
        )
    ahead = forecasts.drop_nulls(["target_date", "predicted_close"]).sort("sessions")
    if ahead.height:
        _fan(figure, ahead)
    figure.update_layout(xaxis_rangeslider_visible=False)
    figure.update_xaxes(
        type="category",
        categoryorder="array",
        categoryarray=list(sessions),
        **_month_ticks(sessions),
    )
    return styled(figure, height=440, y="Close, as traded", short=True)


def _fan(figure: go.Figure, ahead: pl.DataFrame) -> None:
    start = ahead.row(0, named=True)
    days = [start["as_of"], *ahead["target_date"]]
    lower, middle, upper = (
        [start["last_close"], *ahead[f"{name}_close"]] for name in ("lower", "predicted", "upper")
    )
    band = f"{100 * start['level']:g} % interval"
    edge = {"color": FORECAST, "width": 1, "dash": "dot"}
    _line(figure, days, upper, name="upper", line=edge, showlegend=False)
    _line(figure, days, lower, name=band, line=edge, fill="tonexty", fillcolor=BAND)
    figure.add_scatter(
        x=days,
        y=middle,
        mode="lines+markers+text",
        name="forecast",
        line={"color": FORECAST, "width": 2},
        # The fan begins at the last close, which is not a forecast.
        marker={"symbol": "diamond", "size": [0, *[8] * ahead.height], "line": {"width": 0}},
        text=["", *map(chart_text, ahead["horizon"])],
        # Below the candles of the last sessions, where near horizons have theirs.
        textposition=["bottom right"] * ahead.height + ["top center"],
        cliponaxis=False,
    )


def _line(
    figure: go.Figure, days: Sequence[str], values: Sequence[float], **options: object
) -> None:
    figure.add_scatter(x=days, y=values, mode="lines", **options)


def _month_ticks(sessions: Sequence[str]) -> dict[str, object]:
    """The first session of every month, or of every second, third and so on."""
    first = [day for before, day in pairwise(sessions) if before[:7] != day[:7]]
    places = first[:: -(-len(first) // TICKS) or 1]
    return {"tickvals": places, "ticktext": [day[:7] for day in places], "tickangle": 0}
