"""States as a colour, a sign and a word, so that they can be read without the colour."""

from typing import Final

from dashboard.plain_text import plain

MARKS: Final = {
    "ok": ("green", "check_circle"),
    "warning": ("orange", "warning"),
    "critical": ("red", "error"),
    "unknown": ("gray", "help"),
}
"""Colour and icon of a state."""


def mark(state: str, text: str = "") -> str:
    """A badge in Streamlit's Markdown.

    Args:
        state: of `MARKS`.
        text: its word, by default the state.
    """
    colour, icon = MARKS[state]
    return f":{colour}-badge[:material/{icon}: {plain(text or state)}]"
