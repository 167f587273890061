"""Pipeline Control."""

import streamlit as st

from dashboard.page_context import Context


def show(context: Context) -> None:
    """Show the page."""
    st.title("Pipeline Control")
