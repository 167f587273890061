"""Monitoring: what is wrong, since when, and what to do."""

from collections.abc import Callable
from typing import Final

import streamlit as st

from dashboard.page_context import Context, guarded
from dashboard.views.monitoring import (
    alerts_tab,
    decisions_tab,
    drift_tab,
    health_tab,
    log_tab,
    performance_tab,
    server_tab,
    wrong_now,
)

TABS: Final[dict[str, Callable[[Context], None]]] = {
    "Health": health_tab.show,
    "Drift": drift_tab.show,
    "Performance": performance_tab.show,
    "Alerts": alerts_tab.show,
    "Decisions": decisions_tab.show,
    "Server": server_tab.show,
    "Log": log_tab.show,
}


def show(context: Context) -> None:
    """Show the page; of the tabs only the open one is read."""
    st.title("Monitoring")
    guarded(wrong_now.show, context)
    tabs = st.tabs(list(TABS), key="tab", bind="query-params")
    for tab, part in zip(tabs, TABS.values(), strict=True):
        if tab.open:
            with tab:
                guarded(part, context)
