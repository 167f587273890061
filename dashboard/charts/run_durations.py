"""How long runs took: a bar for each, divided by stage."""

import plotly.graph_objects as go
import polars as pl

from dashboard.charts.chart_style import SERIES, styled
from dashboard.plain_text import chart_text

PATTERNS = ("", "/", "\\", "x", "-", "|", "+", ".")
"""Beside the colours, so that they are not the only sign."""

ROW = 34
"""Pixels of a run."""

LEGEND = 100
"""Pixels of the legend, which has several lines on a phone."""


def run_durations(stages: pl.DataFrame) -> go.Figure:
    """A bar for each run, the newest on top.

    Args:
        stages: run (a label), family, seconds; the newest run first, stages in the order of a run.
    """
    order = stages["run"].unique(maintain_order=True).to_list()
    figure = go.Figure()
    for number, (family,) in enumerate(stages.select("family").unique(maintain_order=True).rows()):
        own = (
            stages.filter(pl.col("family") == family)
            .group_by("run", maintain_order=True)
            .agg(pl.col("seconds").sum(), pl.len().alias("count"))
        )
        figure.add_bar(
            x=own["seconds"].to_list(),
            y=[chart_text(run) for run in own["run"]],
            name=chart_text(family),
            orientation="h",
            customdata=own["count"].to_list(),
            marker={
                "color": SERIES[number % len(SERIES)],
                "pattern": {"shape": PATTERNS[number % len(PATTERNS)], "size": 5, "solidity": 0.25},
            },
            hovertemplate="%{fullData.name}: %{x:,.1f} s, %{customdata} of its stages"
            "<extra></extra>",
        )
    styled(figure, height=60 + LEGEND + ROW * len(order), x="seconds")
    figure.update_layout(
        barmode="stack",
        hovermode="closest",
        margin_b=LEGEND + 40,
        legend={
            "traceorder": "normal",
            "entrywidth": 110,
            "yref": "container",
            "yanchor": "bottom",
            "y": 0,
        },
    )
    figure.update_yaxes(
        categoryorder="array",
        categoryarray=[chart_text(run) for run in order],
        autorange="reversed",
        fixedrange=True,
    )
    return figure
