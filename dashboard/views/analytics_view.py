"""Analytics: which of these is better, and is that more than chance?"""

from collections.abc import Callable

import streamlit as st

from dashboard.empty_state import empty
from dashboard.page_context import Context
from dashboard.results import horizon_metrics, readings
from dashboard.results.horizon_metrics import HorizonMetrics
from dashboard.url_choice import url_choice
from dashboard.views.analytics import compare_part, evaluation_parts, experiments_part

Part = Callable[[HorizonMetrics, str], None]

PARTS: dict[str, Part] = {
    "Candidates": evaluation_parts.candidates,
    "Distribution": evaluation_parts.distribution,
    "Features": evaluation_parts.features,
    "Trading": evaluation_parts.trading,
    "Compare": compare_part.show,
    "Experiments": experiments_part.show,
}


def show(context: Context) -> None:
    """Show the page."""
    del context
    st.title("Analytics")
    horizons = horizon_metrics.horizons()
    if not horizons:
        empty(
            "params.yaml names no horizon, and metrics/ holds no results.",
            "Run the pipeline in the folder of the project:",
            "dvc repro",
        )
        return
    if "view" not in st.query_params and {"a", "b"} & set(st.query_params):
        st.session_state.setdefault("view", "Compare")
    if pair := st.session_state.pop("comparison", None):
        st.session_state.update(a=pair[0], b=pair[1], view="Compare")
        # Streamlit binds the address to widgets that it shows: those of a new part are not yet.
        st.query_params.update(a=pair[0], b=pair[1])
    with st.container(horizontal=True, vertical_alignment="bottom"):
        horizon = url_choice("Horizon", horizons, "horizon")
        part = url_choice("Part", list(PARTS), "view", wrap=True)
    PARTS[part](readings.metrics("", horizon), horizon)
