"""What Streamlit runs for every viewer: `python -m dashboard`, or `streamlit run` of this file."""

from functools import partial
from pathlib import Path

import streamlit as st

from dashboard import page_context, sign_in
from dashboard.error_line import error_line
from dashboard.page_context import Context, guarded
from dashboard.views import (
    analytics_view,
    control_view,
    home_view,
    monitoring_view,
    predictions_view,
)
from stages.common.errors import StageError

TITLE = "Stock forecasts"
ICON = Path(__file__).with_name("icon.svg")


def pages(context: Context) -> list["st.Page"]:
    """The pages, in the order of the menu."""
    parts = (
        (home_view, "Home", "home"),
        (predictions_view, "Predictions", "query_stats"),
        (analytics_view, "Analytics", "leaderboard"),
        (control_view, "Pipeline Control", "account_tree"),
        (monitoring_view, "Monitoring", "monitor_heart"),
    )
    return [
        st.Page(
            partial(guarded, module.show, context),
            title=title,
            icon=f":material/{icon}:",
            url_path=title.lower().replace(" ", "-"),
            default=module is home_view,
        )
        for module, title, icon in parts
    ]


def main() -> None:
    """Show the page that the address names."""
    st.set_page_config(page_title=TITLE, page_icon=str(ICON), layout="wide")
    try:
        context = page_context.context(sign_in.viewer())
    except StageError as error:
        error_line(error)
        st.stop()
    st.navigation(pages(context), position="top").run()


main()
