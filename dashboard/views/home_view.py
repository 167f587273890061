"""Home: what is forecast, whether it may be trusted, and what to do if not."""

import streamlit as st

from dashboard.newest_forecasts import newest_forecasts
from dashboard.page_context import Context


def show(context: Context) -> None:
    """Show the page."""
    st.title("Home")
    forecasts = newest_forecasts(context.server, context.server.get("/version"))
    st.dataframe(forecasts)
