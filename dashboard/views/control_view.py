"""Pipeline Control: the state of every stage, what runs, what ran, and what can be started."""

from collections.abc import Callable, Mapping

import streamlit as st

from dashboard.page_context import Context, guarded
from dashboard.url_choice import url_choice
from dashboard.views.control import (
    experiment_panel,
    live_panel,
    release_panel,
    runs_panel,
    stages_panel,
    start_panel,
)
from versions.runs.run_record import Run

PARTS: Mapping[str, Callable[[Context, Run | None], None]] = {
    "Stages": stages_panel.show,
    "Run": start_panel.show,
    "Experiment": lambda context, _: experiment_panel.show(context),
    "Releases": lambda context, _: release_panel.show(context),
    "Recent runs": lambda context, _: runs_panel.show(context),
}
"""The parts below what runs now; one of them is shown at a time."""


def show(context: Context) -> None:
    """Show the page."""
    st.title("Pipeline Control")
    if not context.viewer.may_act:
        st.text(
            f"{context.viewer.name} may look. To run something needs a key with the role admin: "
            "python -m serve keys add NAME --role admin"
        )
    running = live_panel.show(context)
    part = url_choice("Show", list(PARTS), "part", label_visibility="collapsed")
    guarded(lambda _: PARTS[part](context, running), context)
