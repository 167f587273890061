"""What Streamlit runs for every viewer: `python -m dashboard`, or `streamlit run` of this file."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import streamlit as st

from dashboard import page_context, sign_in
from dashboard.error_line import error_line
from dashboard.page_context import Context, guarded
from dashboard.page_list import PAGES
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

Show = Callable[[Context], None]

# What each page shows, and its icon. Streamlit would show a string that stands here on its own.
VIEWS: Final[dict[str, tuple[Show, str]]] = {
    "Home": (home_view.show, "home"),
    "Predictions": (predictions_view.show, "query_stats"),
    "Analytics": (analytics_view.show, "leaderboard"),
    "Pipeline Control": (control_view.show, "account_tree"),
    "Monitoring": (monitoring_view.show, "monitor_heart"),
}


def pages(draw: Callable[[Show], None]) -> list["st.Page"]:
    """The pages, in the order of the menu.

    Args:
        draw: is called with the view of the page of the address.
    """
    return [
        st.Page(
            partial(draw, VIEWS[title][0]),
            title=title,
            icon=f":material/{VIEWS[title][1]}:",
            url_path=path,
            default=not path,
        )
        for title, path in PAGES.items()
    ]


def main() -> None:
    """Show the page that the address names, or ask for a key in its place."""
    st.set_page_config(page_title=TITLE, page_icon=str(ICON), layout="wide")
    try:
        viewer = sign_in.viewer()
        context = page_context.context(viewer) if viewer else None
    except StageError as error:
        line = str(error)
        _instead(lambda: error_line(line))
        return
    if context is None:
        _instead(sign_in.ask)
        return
    st.navigation(pages(lambda show: guarded(show, context)), position="top").run()


def _instead(draw: Callable[[], None]) -> None:
    """Draw something in the place of every page, without a menu.

    Streamlit learns the pages all the same, or it would forget the page of the address: whoever
    signs in stays there.
    """
    st.navigation(pages(lambda _: draw()), position="hidden").run()


if __name__ == "__main__":
    main()
