"""A chart on a page, in the colours of its theme."""

import plotly.graph_objects as go
import plotly.io
import streamlit as st

from dashboard.charts.chart_style import themed

# Streamlit's template is a third of the time to make a figure, and it makes browsers draw it twice.
plotly.io.templates.default = None


def show_chart(figure: go.Figure, alt: str, *, key: str | None = None, tools: bool = False) -> None:
    """Show a chart.

    Args:
        figure: of `dashboard.charts`; is changed.
        alt: what it shows, for those who cannot see it.
        key: of the element.
        tools: whether a pointer on it brings the buttons to zoom and to save it.
    """
    st.plotly_chart(
        themed(figure, dark=st.context.theme.type == "dark"),
        theme=None,
        key=key,
        config={} if tools else {"displayModeBar": False},
        alt=alt,
    )
