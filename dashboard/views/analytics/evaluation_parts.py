"""The parts of Analytics that show one horizon of the working tree."""

from collections.abc import Callable
from typing import Final

import plotly.graph_objects as go
import polars as pl
import streamlit as st

from dashboard.charts import distribution_charts, result_charts
from dashboard.charts.metric_plots import PLOTS
from dashboard.empty_state import empty
from dashboard.plain_text import plain
from dashboard.results import score_tables
from dashboard.results.horizon_metrics import HorizonMetrics
from dashboard.results.metric_meanings import SHOWN, meaning
from dashboard.show_chart import show_chart
from versions.results import score_verdicts

CAPTIONS: Final = {
    "folds": "Choose by the folds, never by the hold-out. Above 0 beats the historical mean; a "
    "model that does so in one fold alone was lucky there.",
    "calibration": "On the dotted line, prices rose as often as the probability said.",
    "coverage": "The dotted line is the nominal level. Calm, usual and wild are thirds of the rows "
    "by the scale that the forecast knew.",
    "pit": "High at both ends: the distribution is too narrow. High in the middle: too wide. A "
    "slope: the forecast is too low or too high.",
    "residuals": "Outcome less forecast. Fat tails are usual for returns.",
    "importance": "How much the candidates use each feature, weighted as the served forecast "
    "weighs them.",
    "explanations": "Mean absolute contribution of each feature to the served forecasts.",
    "equity": "After costs. Identical lines overlap.",
    "drawdown": "",
}

P_VALUES: Final = (
    "p: chance of such an OOS R2 without skill. p of CRPS: chance of such a CRPS skill without "
    "skill. Below 0.05 is more than chance, but one in twenty models without skill gets there."
)
PORTFOLIOS: Final = (
    "Sharpe from and to: 90 % of a block bootstrap. p: chance of such a gain over the best way to "
    "hold without skill; the sentence above multiplies the smallest p by the number of portfolios."
)
NO_RANKS: Final = (
    "There is no rank IC by year: it needs 20 symbols or more with a forecast on the same date, "
    "and forecasts that differ."
)


def chart(title: str, figure: go.Figure, caption: str = "") -> None:
    """A chart with its title above it, and what to see in it below."""
    st.subheader(plain(title), anchor=False)
    show_chart(figure, f"{title}. {caption}".strip())
    if caption:
        st.caption(plain(caption))


def candidates(results: HorizonMetrics, horizon: str) -> None:
    """Candidates and baselines by score, and their skill fold by fold."""
    if _missing(results, horizon):
        return
    table = results.table("scores")
    served = score_tables.served(table)
    if served is not None:
        st.text(score_verdicts.of_forecast(served, score_tables.sessions(results.params, horizon)))
        st.text(score_verdicts.of_distribution(served))
    columns = {column.name: column for column in SHOWN}
    left, right = st.columns(2)
    name = left.selectbox(
        "Score",
        list(columns),
        index=list(columns).index("oos_r2"),
        format_func=lambda key: columns[key].title,
        key="metric",
        bind="query-params",
    )
    symbol = right.selectbox(
        "Symbol", score_tables.symbols(table), key="symbol", bind="query-params"
    )
    left, right = st.columns([2, 3])
    with left:
        _by_score(table, symbol, name)
    with right:
        st.subheader("All scores", anchor=False)
        _numbers(*score_tables.scores(table, symbol), "Every score of each model", P_VALUES)
    _plot(results, "folds", result_charts.folds)


def _by_score(table: pl.DataFrame, symbol: str, name: str) -> None:
    column = next(column for column in SHOWN if column.name == name)
    rows = table.filter(pl.col("symbol") == symbol).select("model", value=name)
    title = f"{column.title.removesuffix(' %')} on the hold-out, by model"
    if rows["value"].drop_nulls().is_empty():
        st.subheader(plain(title), anchor=False)
        empty(f"{column.title} is not defined for these rows.")
        return
    figure = result_charts.scores(
        rows,
        score_verdicts.BASELINES,
        title=column.title.removesuffix(" %"),
        higher=column.better != "low",
        percent=column.format.startswith("%"),
    )
    chart(title, figure, meaning(column))


def distribution(results: HorizonMetrics, horizon: str) -> None:
    """Whether probabilities and intervals hold what they promise."""
    if _missing(results, horizon):
        return
    level = score_tables.level(results.params)
    left, right = st.columns(2)
    with left:
        _plot(results, "calibration", distribution_charts.calibration)
        _plot(results, "coverage", lambda rows: distribution_charts.coverage(rows, level))
    with right:
        _plot(results, "pit", lambda rows: distribution_charts.histogram(rows, "pit"))
        _plot(results, "residuals", lambda rows: distribution_charts.histogram(rows, "residuals"))


def features(results: HorizonMetrics, horizon: str) -> None:
    """What the models look at, and what moves the forecasts."""
    if _missing(results, horizon):
        return
    left, right = st.columns(2)
    with left:
        _plot(results, "importance", lambda rows: result_charts.features(rows, "importance"))
    with right:
        rows = results.table("explanations")
        if not rows.is_empty() and (rows["contribution"] == 0).all():
            st.subheader(plain(PLOTS["explanations"].title), anchor=False)
            empty("No feature moves the forecasts: the historical mean is served.")
        else:
            _plot(results, "explanations", lambda r: result_charts.features(r, "explanations"))


def trading(results: HorizonMetrics, horizon: str) -> None:
    """What trading the forecasts would have brought, and whether that is more than chance."""
    if _missing(results, horizon):
        return
    portfolios = score_tables.portfolios(results.documents.get("backtest", {}))
    if portfolios:
        st.text(score_verdicts.of_trading(portfolios))
    _plot(results, "equity", lambda rows: result_charts.curves(rows, "equity"))
    _plot(results, "drawdown", lambda rows: result_charts.curves(rows, "drawdown"))
    if portfolios:
        st.subheader("Portfolios", anchor=False)
        numbers = score_tables.performance(portfolios)
        _numbers(*numbers, "Performance of each portfolio", PORTFOLIOS)
    rows = results.table("ic")
    if rows.is_empty():
        st.subheader(plain(PLOTS["ic"].title), anchor=False)
        empty(NO_RANKS)
    else:
        chart(PLOTS["ic"].title, result_charts.rank_ic(rows), score_tables.rank_ic_line(results))


def _missing(results: HorizonMetrics, horizon: str) -> bool:
    """Say so if the pipeline has not run; returns whether that is the case."""
    if results.empty:
        empty(
            f"There is no metrics/{horizon}/scores.csv: the pipeline has not run for this horizon.",
            "Run it in the folder of the project:",
            "dvc repro",
        )
    return results.empty


def _plot(results: HorizonMetrics, name: str, draw: Callable[[pl.DataFrame], go.Figure]) -> None:
    """The chart of a table, or that there is none."""
    rows = results.table(name)
    if rows.is_empty():
        st.subheader(plain(PLOTS[name].title), anchor=False)
        empty(f"This revision has no rows in {name}.csv.")
    else:
        chart(PLOTS[name].title, draw(rows), CAPTIONS[name])


def _numbers(table: pl.DataFrame, formats: dict[str, str], alt: str, caption: str) -> None:
    st.dataframe(
        table,
        hide_index=True,
        column_config={
            title: st.column_config.NumberColumn(format=form) for title, form in formats.items()
        },
        height="content",
        placeholder="-",
        alt=alt,
    )
    st.caption(plain(caption))
