"""The newest logged forecasts of a symbol and horizon, as they come, without a reload."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import streamlit as st

from dashboard.empty_state import empty
from dashboard.error_line import error_line
from dashboard.number_text import interval, percent
from dashboard.outlook import forecast_log
from dashboard.page_context import Context, in_zones
from dashboard.plain_text import plain
from dashboard.served_revision import identity, served
from stages.common.errors import StageError

EVERY = 2.0
"""Seconds between two readings."""

SOURCES = {"latest": "bar of the revision", "bars": "own bars (what-if)", "rows": "own features"}


def show(context: Context, version: Mapping[str, Any], symbol: str, horizon: str) -> None:
    """Show them, and run the page again once the server serves another revision."""
    st.subheader("Logged as they come")
    _live(context, identity(version), symbol, horizon)


@st.fragment(run_every=EVERY)
def _live(context: Context, revision: str, symbol: str, horizon: str) -> None:
    try:
        version = served(context.server)
        logged = forecast_log.newest(context.server, symbol, horizon)
    except StageError as error:
        error_line(error)
        return
    if identity(version) != revision:
        st.rerun()
    if logged.is_empty():
        empty("Nothing is logged of this symbol and horizon.", "Ask for a forecast.")
        return
    newest = logged.row(0, named=True)
    bounds = interval(percent(newest["lower_return"]), percent(newest["upper_return"]))
    st.text(
        f"Newest: {percent(newest['predicted_return'])} ({bounds}) for {newest['target_date']}, "
        f"logged {in_zones(datetime.fromisoformat(newest['created_at']), context)}"
    )
    rows = [
        {
            "logged": in_zones(datetime.fromisoformat(row["created_at"]), context),
            "from": " ".join(filter(None, (SOURCES.get(row["source"]), row["role"]))),
            "bar": row["as_of"],
            "target": row["target_date"],
            "return": percent(row["predicted_return"]),
            "revision": row["revision"][:7],
            "by": row["client"] or "",
            "id": row["id"],
        }
        for row in logged.iter_rows(named=True)
    ]
    st.dataframe(rows, hide_index=True, key="live")
    st.caption(
        plain(
            f"The newest is {newest['id']}. This table is read every two seconds. What-ifs are "
            "logged too, and the monitor does not judge them."
        )
    )
