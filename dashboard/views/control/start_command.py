"""What a button of Pipeline Control does once its command is known."""

import streamlit as st

from dashboard import sign_in
from dashboard.control import run_process
from dashboard.control.run_commands import Command
from dashboard.error_line import error_line
from dashboard.page_context import Context
from stages.common.errors import StageError


def start(context: Context, command: Command) -> None:
    """Start a command in the viewer's name, and draw the page again.

    If the viewer may not act any more, or it cannot start, the reason is shown in a line.
    """
    try:
        sign_in.check(context.viewer, acts=True)
        run_process.start(command, context.viewer.name, context.monitor)
    except StageError as error:
        error_line(error)
        return
    st.rerun()
