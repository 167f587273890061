"""The checks, and their history."""

import polars as pl
import streamlit as st

from dashboard.charts import health_strip
from dashboard.empty_state import empty
from dashboard.page_context import Context
from dashboard.views.monitoring import tab_parts
from dashboard.watching import current_state, time_spans
from monitor.health.health_check import METRIC

_SIGNS = {"ok": "✓ ok", "warning": "! warning", "critical": "✗ critical"}


def show(context: Context) -> None:
    """Show a row for each check, and the strip of their states."""
    now = current_state.current(context.monitor)
    if not now.findings:
        empty("No health check was made here yet.", "Make one:", tab_parts.CHECK)
    else:
        rows = [
            (_SIGNS.get(each.status, each.status), each.check, each.of, each.sentence, each.remedy)
            for each in now.findings
        ]
        st.dataframe(
            pl.DataFrame(
                rows, schema=["state", "check", "of", "what was found", "to do"], orient="row"
            ),
            hide_index=True,
            alt="Every health check with its state, what was found and what to do",
            column_config={"what was found": st.column_config.TextColumn(width="large")},
        )
    chosen = tab_parts.span()
    history = tab_parts.measured(context, (METRIC,), chosen)
    if history.is_empty():
        tab_parts.nothing_in(chosen, "Health")
        return
    end = context.monitor.clock
    begin = max(time_spans.begin(chosen, end), history["at"][0])
    tab_parts.chart(
        "History of the checks",
        health_strip.strip(history, begin, end),
        "A row for each check and a cell for each span of time, with its worst state",
        "The worst state in each span of time: · is well, W a warning, C critical; an empty cell "
        "was not checked.",
    )
