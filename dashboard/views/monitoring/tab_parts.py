"""What the tabs share: the choice of a span and of a horizon, and a chart below its title."""

import plotly.graph_objects as go
import polars as pl
import streamlit as st

from dashboard.empty_state import empty
from dashboard.page_context import Context
from dashboard.plain_text import plain
from dashboard.show_chart import show_chart
from dashboard.url_choice import url_choice
from dashboard.watching import store_reading
from dashboard.watching.stored_history import history
from dashboard.watching.time_spans import SPANS

CHECK = "python -m monitor check"
_DEFAULT = "30 days"


def span() -> str:
    """The span of time that is shown, in the URL."""
    return url_choice("Span", list(SPANS), "span", default=_DEFAULT)


def horizon(names: list[str]) -> str:
    """The horizon that is shown, in the URL; where there is only one, nothing is offered."""
    if len(names) == 1:
        return names[0]
    return url_choice("Horizon", names, "horizon")


def measured(context: Context, names: tuple[str, ...], chosen: str) -> pl.DataFrame:
    """Metrics over the chosen span; `stored_history.SCHEMA`.

    Raises:
        LogError: the log cannot be read.
    """
    return store_reading.read(history, context.monitor, names, chosen)


def chart(title: str, figure: go.Figure, says: str, note: str = "") -> None:
    """A chart below its title.

    Args:
        title: of the chart.
        figure: the chart.
        says: what it shows, for those who cannot see it.
        note: what its numbers mean, in Markdown of ours.
    """
    st.markdown(f"**{plain(title)}**")
    if note:
        st.caption(note)
    show_chart(figure, says, key=f"chart {title}", tools=True)


def nothing_in(chosen: str, what: str) -> None:
    """Say that the span has no measurement."""
    empty(
        f"{what} was not measured within the chosen span ({chosen}).",
        "Choose a longer one, or measure now:",
        CHECK,
    )
