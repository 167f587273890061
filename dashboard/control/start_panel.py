"""Start `dvc repro`, or a refresh to a day."""

from datetime import date

import streamlit as st

from dashboard import sign_in
from dashboard.control import run_commands, run_process
from dashboard.control.run_commands import Command
from dashboard.page_context import Context
from dashboard.plain_text import plain
from stages.common import sections
from stages.common.errors import StageError
from stages.common.sections import DataParams, Sections
from versions.repository import pipeline
from versions.runs.run_record import Run

FIRST = date(1950, 1, 1)
"""The first day that can be chosen."""


class _Data(Sections):
    data: DataParams


def show(context: Context, running: Run | None) -> None:
    """Show the panel.

    Raises:
        ParamsError: `params.yaml` is wrong.
    """
    st.text(
        "A server that runs in this folder goes on answering from the models it has loaded. It "
        "takes the new ones when all of them are there."
    )
    able = context.viewer.may_act and running is None
    if running is not None:
        st.text("Something runs; another run can start when it has ended.")
    left, right = st.columns(2)
    with left.container(border=True, height="stretch"):
        _reproduce(context, able=able)
    with right.container(border=True, height="stretch"):
        _refresh(context, able=able)


def _reproduce(context: Context, *, able: bool) -> None:
    st.subheader("Reproduce", anchor=False)
    st.text("Runs what has changed, as dvc repro does.")
    chosen = st.multiselect(
        "Stages",
        pipeline.stage_names(),
        placeholder="all; or some, with what they need",
        key="stages",
    )
    if st.button("Reproduce", type="primary", disabled=not able, key="reproduce"):
        _start(context, run_commands.reproduce(chosen))


def _refresh(context: Context, *, able: bool) -> None:
    st.subheader("Refresh", anchor=False)
    as_of = sections.load(_Data).data.as_of
    st.text(
        f"Moves data.as_of, now {as_of}, and reproduces. It changes params.yaml, dvc.lock and "
        "metrics, and commits nothing: its log ends with how to keep that, and how to go back."
    )
    today = max(context.monitor.clock.date(), as_of)
    day = st.date_input(
        "The newest session to know", as_of, min_value=FIRST, max_value=today, format="YYYY-MM-DD"
    )
    keep = st.toggle("Keep the models as they are, and bring the bars alone")
    if st.button("Refresh", type="primary", disabled=not able or day is None, key="refresh"):
        _start(context, run_commands.refresh(day, keep_models=keep))


def _start(context: Context, command: Command) -> None:
    try:
        sign_in.check(context.viewer, acts=True)
        run_process.start(command, context.viewer.name, context.monitor)
    except StageError as error:
        st.error(plain(error), icon=":material/error:")
        return
    st.rerun()
