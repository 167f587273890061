"""Analytics, the part with the table of experiments."""

import polars as pl
import streamlit as st

from dashboard.empty_state import empty
from dashboard.plain_text import plain
from dashboard.results import experiment_frame, readings
from dashboard.results.experiment_frame import BASE, NAME
from dashboard.results.horizon_metrics import HorizonMetrics
from stages.common.errors import VersionError
from versions.results import experiment_refs

ROWS = 2
"""Experiments that can be compared."""


def show(results: HorizonMetrics, horizon: str) -> None:
    """Filter, sort, and choose two to compare."""
    del results
    try:
        table = readings.experiments()
        queued, failed = experiment_refs.waiting()
    except VersionError as error:
        empty(
            f"Experiments cannot be read: {error}.", "Open the dashboard in a clone of the project."
        )
        return
    if queued or failed:
        st.caption(
            plain(
                f"{queued:,} in the queue of DVC, {failed:,} failed: dvc queue status names them."
            )
        )
    if table.is_empty():
        empty(
            "There are no experiments yet.",
            "Try a param:",
            "dvc exp run --name averages -S 'features.sma=[5,20]'",
        )
        return
    _table(table, horizon)


@st.fragment
def _table(table: pl.DataFrame, horizon: str) -> None:
    left, right = st.columns([1, 2])
    text = left.text_input(
        "Filter",
        key="filter",
        bind="query-params",
        placeholder="words that a row has",
        live="300ms",
    )
    columns = right.multiselect(
        "Columns",
        table.columns,
        default=experiment_frame.shown_at_first(table, horizon),
        key=f"columns-{horizon}",
    )
    rows = experiment_frame.filtered(table, text or "")
    st.caption(
        plain(
            f"{rows.height:,} of {table.height:,} experiments. Choose by {horizon} fold_oos_r2: "
            "every other score is of the hold-out. A click on a heading sorts; two ticks compare."
        )
    )
    if rows.is_empty():
        empty("No experiment has all of these words.")
        return
    event = st.dataframe(
        rows,
        hide_index=True,
        column_order=[NAME, *(name for name in columns if name != NAME)],
        column_config={
            name: st.column_config.NumberColumn(format="%.6g")
            for name, dtype in rows.schema.items()
            if dtype == pl.Float64
        },
        on_select="rerun",
        selection_mode="multi-row",
        height=520,
        # Streamlit remembers ticks by the place of a row: those of other rows must not count.
        key=f"chosen-{hash(tuple(rows[NAME]))}",
        alt="Experiments with their scores and params",
    )
    ticked = event["selection"]["rows"][:ROWS]
    chosen = rows[ticked] if ticked else rows.clear()
    names = chosen[NAME].to_list()
    pair = names if len(names) == ROWS else [*chosen[BASE].to_list(), *names]
    label = " and ".join(pair) if names else "two experiments"
    if st.button(
        plain(f"Compare {label}"),
        disabled=not names,
        type="primary",
        icon=":material/compare_arrows:",
    ):
        st.session_state["comparison"] = pair
        st.rerun(scope="app")
