"""An error as every page shows it: one line, with its remedy."""

import streamlit as st

from dashboard.plain_text import plain


def error_line(error: object) -> None:
    """Show an error of the project, or the line of one that was stored."""
    st.error(plain(error), icon=":material/error:")
