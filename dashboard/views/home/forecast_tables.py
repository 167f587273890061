"""The newest forecast of each symbol: a table and a chart for each horizon."""

import polars as pl
import streamlit as st

from dashboard.charts.interval_bars import interval_bars
from dashboard.empty_state import empty
from dashboard.overview.newest_forecasts import newest_forecasts
from dashboard.page_context import Context
from dashboard.plain_text import plain
from dashboard.served_revision import served
from dashboard.server_client import RefusedError, ServerAwayError
from dashboard.show_chart import show_chart
from stages.common.errors import few

DRAWN = 24
"""Symbols of a chart; the table has all."""


def show(context: Context) -> None:
    """Show the newest forecasts, or why there are none."""
    try:
        version = served(context.server)
        newest = newest_forecasts(context.server, version)
    except ServerAwayError as error:
        empty(str(error), "Its forecasts come back with it.", "make serve")
        return
    except RefusedError as error:
        empty(str(error), "", "make run && make serve")
        return
    st.caption(
        f"The server answers from {plain(version['revision'][:7])}, which knows sessions up to "
        f"{plain(version['as_of'])}. An interval should hold the stated share of outcomes."
    )
    if newest.refused:
        st.text(f"Without a forecast: {few(newest.refused)}.")
    if newest.table.is_empty():
        return
    wanted = st.text_input(
        "Symbols", key="symbols", bind="query-params", placeholder="all; or a part of the name"
    )
    chosen = newest.table.filter(
        pl.col("symbol")
        .str.to_uppercase()
        .str.contains((wanted or "").strip().upper(), literal=True)
    )
    if chosen.is_empty():
        empty(f"No symbol has {wanted!r} in its name.")
        return
    horizons = chosen.partition_by("horizon", maintain_order=True)
    columns = (
        st.columns(len(horizons))
        if len(horizons) in (1, 2)
        else st.tabs([plain(rows["horizon"][0]) for rows in horizons])
    )
    for column, rows in zip(columns, horizons, strict=True):
        with column:
            _horizon(rows)


def _horizon(rows: pl.DataFrame) -> None:
    first = rows.row(0, named=True)
    sessions = "the next session" if first["sessions"] == 1 else f"{first['sessions']} sessions"
    st.subheader(f"{plain(first['horizon'])}: {sessions}", anchor=False)
    st.dataframe(
        rows.select(
            "symbol",
            (100 * pl.col("predicted_return")).alias("return"),
            _intervals(rows),
            (100 * pl.col("probability_of_rise")).alias("probability"),
            "predicted_close",
            "target_date",
            "as_of",
            pl.when("stale").then(pl.lit("stale")).otherwise(pl.lit("")).alias("state"),
        ),
        hide_index=True,
        column_config={
            "symbol": st.column_config.TextColumn("Symbol", pinned=True),
            "return": st.column_config.NumberColumn("Return %", format="%+.2f"),
            "interval": st.column_config.TextColumn(f"{first['level']:.0%} interval %"),
            "probability": st.column_config.ProgressColumn(
                "P(rise) %", format="%.1f", min_value=0, max_value=100
            ),
            "predicted_close": st.column_config.NumberColumn("Close", format="%.2f"),
            "target_date": "For",
            "as_of": "Bar of",
            "state": "State",
        },
        alt=f"Newest {first['horizon']} forecasts",
    )
    show_chart(
        interval_bars(rows.head(DRAWN)),
        f"Forecast and interval of each symbol, {first['horizon']}",
        key=f"bars-{first['horizon']}",
    )
    if rows.height > DRAWN:
        st.caption(f"The chart has the first {DRAWN} of {rows.height}; narrow them by name.")


def _intervals(rows: pl.DataFrame) -> pl.Series:
    bounds = rows.select("lower_return", "upper_return").rows()
    texts = [f"{100 * lower:+.2f} .. {100 * upper:+.2f}" for lower, upper in bounds]
    return pl.Series("interval", texts)
