"""How earlier forecasts of a symbol and horizon came out."""

import polars as pl
import streamlit as st

from dashboard.charts.outcome_chart import coverage_chart, outcome_chart
from dashboard.empty_state import empty
from dashboard.number_text import share
from dashboard.outlook import forecast_log, past_forecasts
from dashboard.outlook.symbol_chart import SymbolChart
from dashboard.page_context import Context
from dashboard.show_chart import show_chart
from dashboard.url_choice import url_choice

WINDOWS = (20, 60, 250)
"""Forecasts that coverage is taken over."""

HOLD_OUT, LOGGED = "hold-out", "logged"


def show(context: Context, chart: SymbolChart, symbol: str, horizon: str) -> None:
    """Show the section."""
    st.subheader("Forecasts and outcomes")
    one, two = st.columns(2)
    which = url_choice(
        "Forecasts",
        (HOLD_OUT, LOGGED),
        "history",
        place=one,
        help="Hold-out: by the evaluated fit, which had not seen these bars. Logged: answered by "
        "the server, with the outcomes that came since.",
    )
    window = url_choice("Coverage over the last", WINDOWS, "window", default=WINDOWS[1], place=two)
    if which == LOGGED:
        history = forecast_log.labelled(context.server, symbol, horizon)
    else:
        history = past_forecasts.of_hold_out(chart)
    if history.is_empty():
        _nothing(which)
        return
    table = past_forecasts.judged(history, window)
    within, rows = int(table["within"].sum()), table.height
    st.text(
        f"{within:,} of {rows:,} outcomes were within the interval: {share(within / rows)}, "
        f"where it should hold {share(chart.level)}."
    )
    _charts(table, chart.level, window)
    st.download_button(
        "Download this history",
        table.write_csv,
        f"{symbol}-{horizon}-{which}.csv",
        "text/csv",
        icon=":material/download:",
        key="history-csv",
    )


def _charts(table: pl.DataFrame, level: float, window: int) -> None:
    show_chart(
        outcome_chart(table, level),
        f"Forecast, interval and outcome of {table.height} target dates.",
        key="outcomes",
        tools=True,
    )
    if table["coverage"].null_count() == table.height:
        st.text(f"Rolling coverage needs {window} outcomes; there are {table.height}.")
        return
    show_chart(
        coverage_chart(table, level, window),
        f"Share of the last {window} outcomes within the interval, beside the nominal level.",
        key="coverage",
        tools=True,
    )


def _nothing(which: str) -> None:
    if which == LOGGED:
        empty(
            "No logged forecast of this symbol and horizon has an outcome yet.",
            "The monitor labels them once their target session is in the bars.",
            "python -m monitor labels",
        )
    else:
        empty("The hold-out has no forecast of this symbol and horizon.")
