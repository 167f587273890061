"""Charts of scores, folds, features and trading, each of the rows of one CSV of metrics/.

Where the rows have a column `revision`, two revisions lie over each other: the first is solid, the
second dashed.
"""

from collections.abc import Sequence
from typing import Final

import plotly.graph_objects as go
import polars as pl

from dashboard.charts.chart_style import DASHES, OUTCOME, SERIES, styled
from dashboard.charts.metric_plots import PLOTS
from dashboard.charts.overlay import ROW, revisions
from dashboard.plain_text import chart_text

SERVED: Final = "stack"

FEATURES: Final = 20
"""Features that are drawn, the largest first."""


def scores(
    rows: pl.DataFrame, baselines: Sequence[str], *, title: str, higher: bool, percent: bool
) -> go.Figure:
    """Models by one score, the best on top.

    Args:
        rows: `model, value`.
        baselines: the models that are drawn hollow.
        title: of the score.
        higher: whether more is better.
        percent: whether the score is a fraction.
    """
    rows = rows.drop_nulls("value").sort("value", "model", descending=not higher)
    figure = go.Figure()
    kinds = (
        ("served", "diamond", SERIES[0], pl.col("model") == SERVED),
        (
            "candidates",
            "circle",
            SERIES[1],
            ~pl.col("model").is_in([SERVED, *baselines]),
        ),
        ("baselines", "circle-open", OUTCOME, pl.col("model").is_in(baselines)),
    )
    for name, symbol, colour, chosen in kinds:
        own = rows.filter(chosen)
        figure.add_scatter(
            x=own["value"].to_list(),
            y=[chart_text(model) for model in own["model"]],
            name=name,
            mode="markers",
            marker={"size": 11, "symbol": symbol, "color": colour, "line": {"width": 2}},
        )
    figure.update_yaxes(categoryorder="array", categoryarray=[*map(chart_text, rows["model"])])
    figure.update_xaxes(tickformat=".3~%" if percent else ".4~g")
    styled(figure, height=ROW * rows.height + 110, x=chart_text(title))
    return figure.update_layout(hovermode="closest")


def folds(rows: pl.DataFrame) -> go.Figure:
    """Skill of each model fold by fold: `fold, model, oos_r2`."""
    plot = PLOTS["folds"]
    figure = _lines(rows, plot.x, plot.y, "model", markers=True)
    figure.add_hline(0, line={"color": OUTCOME, "width": 1})
    figure.update_xaxes(dtick=1)
    figure.update_yaxes(tickformat="+.2~%")
    return styled(figure, x="fold", y="out-of-sample R2", short=True)


def curves(rows: pl.DataFrame, name: str) -> go.Figure:
    """Worth or loss of each portfolio: `date, portfolio` and the column of the plot.

    Args:
        rows: of `equity.csv` or `drawdown.csv`.
        name: which of the two.
    """
    plot = PLOTS[name]
    figure = _lines(rows, plot.x, plot.y, "portfolio")
    if name == "drawdown":
        figure.update_yaxes(tickformat=".0%")
        return styled(figure, y="loss since the highest worth")
    return styled(figure, y="worth of the account, 1 at first")


def features(rows: pl.DataFrame, name: str) -> go.Figure:
    """The features that count most.

    Args:
        rows: of `importance.csv` or `explanations.csv`.
        name: which of the two.
    """
    plot = PLOTS[name]
    rows = rows.sort(plot.x, plot.y, descending=[True, False]).head(FEATURES).reverse()
    figure = go.Figure(
        go.Bar(
            x=rows[plot.x].to_list(),
            y=[chart_text(feature) for feature in rows[plot.y]],
            orientation="h",
            marker={"color": SERIES[0]},
        )
    )
    figure.update_xaxes(tickformat=".2~%" if name == "explanations" else ".2~g")
    x = "contribution to the return" if name == "explanations" else "importance, 1 in all"
    styled(figure, height=ROW * rows.height + 80, x=x)
    return figure.update_layout(hovermode="closest")


def rank_ic(rows: pl.DataFrame) -> go.Figure:
    """Rank IC by year: `year, dates, ic, spread`."""
    plot = PLOTS["ic"]
    figure = go.Figure()
    for place, (revision, own) in enumerate(revisions(rows)):
        figure.add_bar(
            x=[f"{year:.0f}" for year in own[plot.x]],
            y=own[plot.y].to_list(),
            name=revision,
            marker={"color": SERIES[place], "pattern": {"shape": ("", "/")[place % 2]}},
        )
    figure.update_xaxes(type="category")
    figure.update_yaxes(tickformat="+.3f")
    return styled(figure, y="rank IC")


def _lines(rows: pl.DataFrame, x: str, y: str, series: str, *, markers: bool = False) -> go.Figure:
    """A line for each series, the served one wide; of two revisions, the second is dashed."""
    figure = go.Figure()
    names = rows[series].unique(maintain_order=True).to_list()
    pairs = list(revisions(rows))
    for revision_place, (revision, own) in enumerate(pairs):
        for place, name in enumerate(names):
            line = own.filter(pl.col(series) == name)
            both = len(pairs) > 1
            dash = DASHES[revision_place] if both else DASHES[place % len(DASHES)]
            colour = place if not both or len(names) > 1 else revision_place
            figure.add_scatter(
                x=line[x].to_list(),
                y=line[y].to_list(),
                name=f"{chart_text(name)}, {revision}" if both else chart_text(name),
                mode="lines+markers" if markers else "lines",
                line={
                    "color": SERIES[colour % len(SERIES)],
                    "dash": dash,
                    "width": 3 if name == SERVED else 1.5,
                },
            )
    return figure
