"""The parts of Analytics that show one horizon of the working tree."""

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go
import polars as pl
import streamlit as st

from dashboard.charts import result_charts
from dashboard.charts.metric_plots import PLOTS
from dashboard.empty_state import empty
from dashboard.plain_text import plain
from dashboard.results import score_tables
from dashboard.results.horizon_metrics import HorizonMetrics
from dashboard.results.metric_meanings import SHOWN, meaning
from versions import report

TOO_FEW_SYMBOLS = (
    "There is no rank IC by year: it needs 20 symbols or more with a forecast on the same date, "
    "and forecasts that differ."
)


def chart(title: str, figure: go.Figure, caption: str = "") -> None:
    """A chart with its title above it, and what to see in it below."""
    st.subheader(plain(title), anchor=False)
    st.plotly_chart(figure, alt=f"{title}. {caption}".strip(), config={"displayModeBar": False})
    if caption:
        st.caption(plain(caption))


def missing(results: HorizonMetrics, horizon: str) -> bool:
    """Say that the pipeline has not run; whether it has not."""
    if results.empty:
        empty(
            f"metrics/{horizon}/scores.csv is not there: the pipeline has not run for this horizon.",
            "Run it in the folder of the project:",
            "dvc repro",
        )
    return results.empty


def candidates(results: HorizonMetrics, horizon: str) -> None:
    """Candidates and baselines by score, and their skill fold by fold."""
    if missing(results, horizon):
        return
    table = results.table("scores")
    sessions = score_tables.sessions(results.params, horizon)
    served = score_tables.served(table)
    if served is not None:
        st.text(report.verdict(served, sessions))
        st.text(report.distribution_verdict(served))
    one, other = st.columns(2)
    columns = {column.name: column for column in SHOWN}
    name = one.selectbox(
        "Score",
        list(columns),
        index=list(columns).index("oos_r2"),
        format_func=lambda key: columns[key].title,
        key="metric",
        bind="query-params",
    )
    symbol = other.selectbox(
        "Symbol", score_tables.symbols(table), key="symbol", bind="query-params"
    )
    column = columns[name]
    rows = table.filter(pl.col("symbol") == symbol).select("model", value=name)
    left, right = st.columns([2, 3])
    with left:
        if rows["value"].drop_nulls().is_empty():
            empty(f"{column.title} is not defined for these rows.")
        else:
            figure = result_charts.scores(
                rows,
                report.BASELINES,
                title=column.title.removesuffix(" %"),
                higher=column.better != "low",
                percent=column.format.startswith("%"),
            )
            chart(f"{column.title} on the hold-out, by model", figure, meaning(column))
    with right:
        _scores_table(table, symbol)
    folds = results.table("folds")
    if not folds.is_empty():
        chart(
            PLOTS["folds"].title,
            result_charts.folds(folds),
            "Choose by the folds, never by the hold-out. Above 0 beats the historical mean; a model "
            "that does so in one fold alone was lucky there.",
        )


def _scores_table(table: pl.DataFrame, symbol: str) -> None:
    st.subheader("All scores", anchor=False)
    shown, formats = score_tables.scores(table, symbol)
    st.dataframe(
        shown,
        hide_index=True,
        column_config={
            title: st.column_config.NumberColumn(format=form) for title, form in formats.items()
        },
        alt="Every score of each model",
    )
    st.caption(
        "p: chance of such an OOS R2 without skill; p of CRPS: chance of such a CRPS skill "
        "without skill. Below 0.05 is more than chance, but of twenty models without skill one is."
    )


def distribution(results: HorizonMetrics, horizon: str) -> None:
    """Whether probabilities and intervals hold what they promise."""
    if missing(results, horizon):
        return
    level = score_tables.level(results.params)
    left, right = st.columns(2)
    with left:
        _optional(
            results,
            "calibration",
            result_charts.calibration,
            "On the dotted line, what was given a probability happened that often.",
        )
        _optional(
            results,
            "coverage",
            lambda rows: result_charts.coverage(rows, level),
            "The dotted line is the level that was promised. calm, usual and wild are thirds of the "
            "rows by the scale that was known.",
        )
    with right:
        _optional(
            results,
            "pit",
            lambda rows: result_charts.histogram(rows, "pit"),
            "High at both ends: the distribution is too narrow; high in the middle: too wide; a slope: "
            "the forecast is too low or too high.",
        )
        _optional(
            results,
            "residuals",
            lambda rows: result_charts.histogram(rows, "residuals"),
            "Outcome less forecast. Fat tails are usual for returns.",
        )


def features(results: HorizonMetrics, horizon: str) -> None:
    """What the models look at, and what moves the forecasts."""
    if missing(results, horizon):
        return
    left, right = st.columns(2)
    with left:
        _optional(
            results,
            "importance",
            lambda rows: result_charts.features(rows, "importance"),
            "How much the candidates use each feature, weighted as the served forecast weighs them.",
        )
    with right:
        rows = results.table("explanations")
        if not rows.is_empty() and rows["contribution"].abs().max() == 0:
            st.subheader(plain(PLOTS["explanations"].title), anchor=False)
            empty("No feature moves the forecasts: the historical mean is served.")
        else:
            _optional(
                results,
                "explanations",
                lambda rows: result_charts.features(rows, "explanations"),
                "Mean absolute contribution (SHAP) of each feature to the served forecasts.",
            )


def trading(results: HorizonMetrics, horizon: str) -> None:
    """What trading the forecasts would have brought, and whether that is more than chance."""
    if missing(results, horizon):
        return
    portfolios: Mapping[str, Any] = score_tables.portfolios(results.documents.get("backtest", {}))
    if portfolios:
        st.text(report.trading_verdict(portfolios))
    _optional(
        results,
        "equity",
        lambda rows: result_charts.curves(rows, "equity"),
        "After costs. Lines that are the same lie on each other.",
    )
    _optional(results, "drawdown", lambda rows: result_charts.curves(rows, "drawdown"))
    if portfolios:
        st.subheader("Portfolios", anchor=False)
        shown, formats = score_tables.performance(portfolios)
        st.dataframe(
            shown,
            hide_index=True,
            column_config={
                title: st.column_config.NumberColumn(format=form) for title, form in formats.items()
            },
            alt="Performance of each portfolio",
        )
        st.caption(
            "Sharpe from and to: 90 % of a block bootstrap. p: chance of such a gain over the best "
            "way to hold without skill; the sentence above multiplies the smallest by their number."
        )
    rows = results.table("ic")
    if rows.is_empty():
        st.subheader(plain(PLOTS["ic"].title), anchor=False)
        empty(TOO_FEW_SYMBOLS)
    else:
        chart(PLOTS["ic"].title, result_charts.rank_ic(rows), score_tables.rank_ic_line(results))


def _optional(results: HorizonMetrics, name: str, draw: Any, caption: str = "") -> None:
    rows = results.table(name)
    if rows.is_empty():
        st.subheader(plain(PLOTS[name].title), anchor=False)
        empty(f"This revision has no rows in {name}.csv.")
    else:
        chart(PLOTS[name].title, draw(rows), caption)
