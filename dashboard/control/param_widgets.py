"""A widget for each kind of param."""

from datetime import date
from math import floor, log10
from typing import Final

import streamlit as st

from dashboard.control import param_changes
from dashboard.control.param_changes import Entered
from dashboard.control.param_fields import ParamField
from dashboard.plain_text import plain

FIRST_DAY: Final = date(1900, 1, 1)
LAST_DAY: Final = date(2200, 1, 1)
"""Days that the calendar of a browser offers."""


def widget(field: ParamField, name: str) -> None:
    """Show the widget of a param; what is entered is in `st.session_state[name]`.

    Args:
        field: the param.
        name: of the widget, unique.
    """
    if name not in st.session_state:
        st.session_state[name] = param_changes.shown(field)
    label = plain(field.key.partition(".")[2])
    common: dict[str, object] = {
        "key": name,
        "help": plain(_help(field)) or None,
        "persist_state": "session",
    }
    if field.kind == "choices":
        st.multiselect(label, field.choices, **common)
    elif field.kind == "texts":
        known = dict.fromkeys([*param_changes.shown(field), *st.session_state[name]])
        st.multiselect(label, list(known), accept_new_options=True, **common)
    elif field.kind == "list" or param_changes.as_text(field):
        st.text_input(label, **common)
    elif field.kind == "flag":
        st.checkbox(label, **common)
    elif field.kind == "choice":
        st.selectbox(label, field.choices, **common)
    elif field.kind == "day":
        st.date_input(label, min_value=FIRST_DAY, max_value=LAST_DAY, format="YYYY-MM-DD", **common)
    elif field.kind == "integer":
        lowest = None if field.minimum is None else int(field.minimum) + field.open_minimum
        highest = None if field.maximum is None else int(field.maximum) - field.open_maximum
        st.number_input(label, lowest, highest, step=1, **common)
    else:
        # The limits themselves may be refused; whoever types one is told so.
        lowest, highest = field.minimum, field.maximum
        st.number_input(
            label,
            None if lowest is None else float(lowest),
            None if highest is None else float(highest),
            step=step(field.value),
            format="%g",
            **common,
        )


def _help(field: ParamField) -> str:
    parts = (
        field.comment,
        field.range,
        "separated by commas" if field.kind == "list" else "",
        "empty for null" if field.optional else "",
        f"now {param_changes.shown(field)}" if field.kind != "flag" else "",
    )
    return "; ".join(filter(None, parts))


def step(value: float) -> float:
    """How far a click moves a number: a unit of its first digit."""
    return float(10.0 ** floor(log10(abs(value)))) if value else 0.1


def entered(name: str, field: ParamField) -> Entered:
    """What is in a widget, or what it will show if it was not shown yet."""
    found: Entered = st.session_state.get(name, param_changes.shown(field))
    return found
