"""What a page shows where there is nothing to show yet: why, and what to do next."""

import streamlit as st


def empty(reason: str, remedy: str = "", command: str = "") -> None:
    """Say what is missing.

    Args:
        reason: one sentence; it is shown letter by letter.
        remedy: what to do next, one sentence.
        command: to type, ready to copy.
    """
    with st.container(border=True):
        st.text(f"{reason} {remedy}".strip())
        if command:
            st.code(command, language="sh", wrap_lines=True)
