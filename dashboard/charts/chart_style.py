"""What all charts share: colours that the colour-blind can tell apart, and a calm layout.

Backgrounds are transparent, and `themed` sets the colours of text: a chart is legible in light and
dark. Where colour tells two things apart, a dash or a symbol does so too.
"""

from typing import Final

import plotly.graph_objects as go

OUTCOME: Final = "#7f8c8d"
FORECAST: Final = "#2f81d8"
BAND: Final = "rgba(47, 129, 216, 0.22)"
INTERVAL: Final = "rgba(47, 129, 216, 0.5)"
RISE: Final = "#009e73"
FALL: Final = "#d55e00"
WARNING: Final = "#e69f00"
INK: Final = "#1a1a1a"
"""Text on a coloured cell, in light and dark."""
SERIES: Final = ("#2f81d8", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f8c8d")
"""Okabe and Ito's palette (2008), in an order that begins with the forecast."""
_FONT: Final = {"family": '"Source Sans", sans-serif', "size": 12}
_GRID: Final = "rgba(128, 132, 149, 0.25)"
"""In light and dark."""
_LIGHT: Final = ("#6d7183", "#262730", "#ffffff")
"""Colours of text, of text in the legend, and of what is behind a text."""
_DARK: Final = ("#e6eaf1", "#fafafa", "#171614")
_LEAST: Final = {"l": 8, "r": 8, "t": 8, "b": 8, "pad": 8}
"""Pixels around a chart and beside its axes."""
_FIXED: Final = {"l": 64, "r": 16, "t": 36, "pad": 8}

DASHES: Final = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot", "solid")


def styled(
    figure: go.Figure, *, height: int = 360, y: str = "", x: str = "", short: bool = False
) -> go.Figure:
    """A figure with the layout of all charts.

    Args:
        figure: is changed, and returned.
        height: in pixels.
        y: title of the vertical axis, with its unit.
        x: title of the horizontal axis.
        short: whether the labels of both axes are short numbers or dates. Then they have fixed
            room; else a browser draws the chart, measures them, and draws it again.
    """
    figure.update_layout(
        height=height,
        margin=(_FIXED | {"b": 56 if x else 30}) if short else _LEAST,
        font=_FONT,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0},
        hovermode="x unified",
        # Streamlit draws a chart twice. Its data do not change between: it draws others anew.
        datarevision=1,
    )
    axis = {"automargin": not short, "gridcolor": _GRID, "zerolinecolor": _GRID}
    figure.update_xaxes(title_text=x or None, showgrid=False, zeroline=False, **axis)
    figure.update_yaxes(title={"text": y or None, "standoff": 8 if short else 16}, **axis)
    return figure


def themed(figure: go.Figure, *, dark: bool) -> go.Figure:
    """A figure in the colours of a theme.

    Args:
        figure: is changed, and returned.
        dark: whether the page is.
    """
    text, strong, page = _DARK if dark else _LIGHT
    return figure.update_layout(
        font_color=text,
        legend_font_color=strong,
        hoverlabel={"bgcolor": page, "bordercolor": _GRID, "font_color": text},
    )
