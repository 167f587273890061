"""Charts of whether probabilities and intervals hold what they promise.

Each takes the rows of one CSV of metrics/. Where they have a column `revision`, two revisions lie
over each other: the first is solid, the second dashed, hollow or hatched.
"""

from typing import Final

import plotly.graph_objects as go
import polars as pl

from dashboard.charts.chart_style import DASHES, OUTCOME, SERIES, styled
from dashboard.charts.metric_plots import PLOTS
from dashboard.charts.overlay import ROW, revisions
from dashboard.plain_text import chart_text

SYMBOLS: Final = ("circle", "diamond-open")


def calibration(rows: pl.DataFrame) -> go.Figure:
    """How often it rose, by the probability that was given: `forecast, observed, rows`."""
    plot = PLOTS["calibration"]
    ends = [*rows[plot.x], *rows[plot.y]] or [0.0, 1.0]
    low, high = min(ends), max(ends)
    figure = go.Figure(
        go.Scatter(
            x=[low, high],
            y=[low, high],
            name="perfect",
            mode="lines",
            line={"color": OUTCOME, "dash": "dot"},
            hoverinfo="skip",
        )
    )
    for place, (name, own) in enumerate(revisions(rows)):
        figure.add_scatter(
            x=own[plot.x].to_list(),
            y=own[plot.y].to_list(),
            customdata=own["rows"].to_list(),
            name=name or "forecasts",
            mode="lines+markers",
            marker={"symbol": SYMBOLS[place], "size": 9},
            line={"color": SERIES[place], "dash": DASHES[place]},
            hovertemplate="%{y:.1%} of %{customdata:,.0f} rows<extra></extra>",
        )
    figure.update_xaxes(tickformat=".1~%")
    figure.update_yaxes(tickformat=".0%")
    return styled(figure, x="probability of a rise", y="share that rose")


def histogram(rows: pl.DataFrame, name: str) -> go.Figure:
    """A histogram that the pipeline has counted.

    Args:
        rows: of `residuals.csv` or `pit.csv`.
        name: which of the two.
    """
    plot = PLOTS[name]
    figure = go.Figure()
    for place, (revision, own) in enumerate(revisions(rows)):
        bar = {"color": SERIES[place], "pattern": {"shape": ("", "/")[place % 2]}}
        figure.add_bar(
            x=own[plot.x].to_list(),
            y=own[plot.y].to_list(),
            name=revision,
            marker=bar,
            opacity=0.75,
        )
    if name == "pit":
        figure.add_hline(1, line={"color": OUTCOME, "dash": "dot"})
        figure.update_yaxes(rangemode="tozero")
        return styled(figure, x="share of the distribution below the outcome", y="outcomes, of 1")
    figure.update_yaxes(tickformat=".0%")
    return styled(figure, x="standard deviations", y="share of the rows")


def coverage(rows: pl.DataFrame, level: float | None) -> go.Figure:
    """Coverage of each year and each third of the rows by scale: `part, rows, coverage, width`.

    Args:
        rows: of `coverage.csv`.
        level: what the interval promises; None is not known.
    """
    plot = PLOTS["coverage"]
    figure = go.Figure()
    for place, (revision, own) in enumerate(revisions(rows)):
        figure.add_scatter(
            x=own[plot.x].to_list(),
            y=[chart_text(part) for part in own[plot.y]],
            customdata=own.select("rows", "width").rows(),
            name=revision or "coverage",
            mode="markers",
            marker={"size": 11, "symbol": SYMBOLS[place], "color": SERIES[place]},
            hovertemplate="%{x:.1%} of %{customdata[0]:,.0f} rows, "
            "mean width %{customdata[1]:.2%}<extra></extra>",
        )
    if level is not None:
        figure.add_vline(level, line={"color": OUTCOME, "dash": "dot"})
    figure.update_xaxes(tickformat=".1~%")
    figure.update_yaxes(autorange="reversed", type="category")
    height = ROW * rows["part"].n_unique() + 130
    styled(figure, height=height, x="share of outcomes in the interval")
    return figure.update_layout(hovermode="closest")
