"""The state of every stage, as a table and as a graph."""

import streamlit as st

from dashboard.charts.pipeline_chart import pipeline_chart
from dashboard.control import pipeline_state, run_tables, stage_graph
from dashboard.control.pipeline_state import Changes
from dashboard.empty_state import empty
from dashboard.file_stamp import Stamp, stamp
from dashboard.page_context import Context, in_zones
from dashboard.plain_text import plain
from dashboard.show_chart import show_chart
from stages.common.errors import StageError
from stages.common.sections import PARAMS_FILE
from versions.repository import lock, pipeline
from versions.repository.lock import LOCK_FILE, Lock
from versions.runs import run_record
from versions.runs.run_record import Run

WATCHED = (LOCK_FILE, PARAMS_FILE, pipeline.PIPELINE_FILE)
"""Whatever changes these may change the state of a stage."""

_ANSWER = "what had changed"
"""In the session: the last answer of DVC."""

WHOLE = 40
"""Rows that a table may have without a scroll bar."""


def show(context: Context, running: Run | None) -> None:
    """Show the panel.

    Raises:
        VersionError: `dvc.lock` cannot be read.
    """
    names = pipeline.stage_names()
    if not names:
        empty("dvc.yaml has no stages.", "Start the dashboard in the root of the project.")
        return
    if not running:
        st.session_state[_ANSWER] = _changes(context)
    changed = st.session_state.get(_ANSWER)
    known = lock.read() if LOCK_FILE.exists() else Lock({})
    states = pipeline_state.states(names, changed, known, run_record.listed())
    if running:
        st.text("What had changed before this run; DVC is asked again when it ends.")
    else:
        _summary(states, changed)
    st.dataframe(
        run_tables.stages(states, lambda moment: in_zones(moment, context)),
        hide_index=True,
        height="content" if len(states) <= WHOLE else "auto",
        alt="The stages, their states, and how long each took last",
    )
    st.caption(
        "Times are those of the last run on record that succeeded. DVC takes what it has computed "
        "before from its cache, and leaves what has not changed: that takes no time and is not on "
        "record."
    )
    st.subheader("How the stages depend on each other", anchor=False)
    content = pipeline.parse(pipeline.PIPELINE_FILE.read_bytes())
    ink = "#fafafa" if st.context.theme.type == "dark" else "#262730"
    show_chart(
        pipeline_chart(run_tables.boxes(states), stage_graph.readers(content["stages"]), ink),
        "Graph of the stages: an arrow leads to a stage that reads what another one writes",
    )


def _summary(states: list[pipeline_state.StageState], changed: Changes | None) -> None:
    if changed is None:
        return
    count = sum(each.state == "changed" for each in states)
    if count:
        st.text(f"Changed: {count} of {len(states)} stages. Reproduce, in the part Run, runs them.")
    else:
        st.text(f"All {len(states)} stages are up to date.")


def _changes(context: Context) -> Changes | None:
    if st.button("Ask again", icon=":material/refresh:", help="Asks DVC what has changed"):
        _cached_changes.clear()
    try:
        return _cached_changes(tuple(map(stamp, WATCHED)), context)
    except StageError as error:
        st.warning(plain(error), icon=":material/help:")
        return None


@st.cache_data(ttl="10m", max_entries=4, show_spinner="Asking DVC what has changed")
def _cached_changes(stamps: tuple[Stamp, ...], _context: Context) -> Changes:
    del stamps  # are what it is cached by
    return pipeline_state.changes(_context.viewer.name, _context.monitor)
