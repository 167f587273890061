"""Pipeline Control: the state of every stage, what runs, and what ran."""

import streamlit as st

from dashboard.control import (
    live_panel,
    param_form,
    release_panel,
    runs_panel,
    stages_panel,
    start_panel,
)
from dashboard.page_context import Context, guarded

STAGES, RUN, EXPERIMENT = "Stages", "Run", "Experiment"
RELEASES, RUNS = "Releases", "Recent runs"


def show(context: Context) -> None:
    """Show the page."""
    st.title("Pipeline Control")
    if not context.viewer.may_act:
        st.text(
            f"{context.viewer.name} may look. To run something needs a key with the role admin: "
            "python -m serve keys add NAME --role admin"
        )
    running = live_panel.show(context)
    part = st.segmented_control(
        "Show",
        (STAGES, RUN, EXPERIMENT, RELEASES, RUNS),
        default=STAGES,
        key="part",
        bind="query-params",
        label_visibility="collapsed",
        required=True,
    )
    if part == RUN:
        guarded(lambda _: start_panel.show(context, running), context)
    elif part == EXPERIMENT:
        guarded(param_form.show, context)
    elif part == RELEASES:
        guarded(release_panel.show, context)
    elif part == RUNS:
        guarded(runs_panel.show, context)
    else:
        guarded(lambda _: stages_panel.show(context, running), context)
