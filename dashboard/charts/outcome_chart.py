"""Forecasts and their outcomes, and how often the interval held the outcome."""

from typing import Any

import numpy as np
import plotly.graph_objects as go
import polars as pl

from dashboard.charts.chart_style import BAND, FALL, FORECAST, OUTCOME, styled

Column = np.ndarray[Any, np.dtype[Any]]
"""Plotly checks an array at once, and a list value by value."""


def outcome_chart(history: pl.DataFrame, level: float) -> go.Figure:
    """Forecast, interval and outcome by target date, in percent.

    Args:
        history: `target_date`, `predicted_return`, `lower_return`, `upper_return`, `actual_return`
            and `within`, in the order of the targets.
        level: of the interval.
    """
    figure = go.Figure()
    days = history["target_date"].to_numpy()
    edge = {"color": FORECAST, "width": 0.5}
    figure.add_scatter(
        x=days, y=_percent(history, "upper_return"), line=edge, name="upper", showlegend=False
    )
    figure.add_scatter(
        x=days,
        y=_percent(history, "lower_return"),
        line=edge,
        fill="tonexty",
        fillcolor=BAND,
        name=f"{100 * level:g} % interval",
    )
    figure.add_scatter(
        x=days,
        y=_percent(history, "predicted_return"),
        line={"color": FORECAST, "width": 1.5},
        name="forecast",
    )
    for within, name, colour, symbol in (
        (True, "outcome within", OUTCOME, "circle"),
        (False, "outcome outside", FALL, "x"),
    ):
        part = history.filter(pl.col("within") == within)
        figure.add_scatter(
            x=part["target_date"].to_numpy(),
            y=_percent(part, "actual_return"),
            mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 4 if within else 6},
            name=name,
        )
    figure.update_xaxes(range=_span(days))
    figure.update_yaxes(ticksuffix=" %", hoverformat="+.2f")
    return styled(figure, height=340, y="Return", short=True)


def coverage_chart(history: pl.DataFrame, level: float, window: int) -> go.Figure:
    """The share of the last forecasts whose interval held the outcome, beside the nominal level.

    Args:
        history: `target_date` and `coverage`, null at the beginning.
        level: nominal.
        window: forecasts of a share.
    """
    days = history["target_date"].to_numpy()
    figure = go.Figure(
        go.Scatter(
            x=days,
            y=_percent(history, "coverage"),
            line={"color": FORECAST, "width": 2},
            name=f"held, of the last {window}",
        )
    )
    figure.add_scatter(
        x=days,
        y=np.full(len(days), 100 * level),
        line={"color": OUTCOME, "width": 1.5, "dash": "dash"},
        name=f"should hold ({100 * level:g} %)",
    )
    figure.update_xaxes(range=_span(days))
    figure.update_yaxes(ticksuffix=" %", hoverformat=".1f")
    return styled(figure, height=240, y="Coverage", short=True)


def _span(days: Column) -> list[str]:
    """The same for both charts, which are read one above the other."""
    return [days[0], days[-1]]


def _percent(frame: pl.DataFrame, column: str) -> Column:
    return (100 * frame[column]).round(4).to_numpy()
