"""A widget for each kind of param."""

import re
from datetime import date
from math import floor, log10
from typing import Any, Final

import streamlit as st

from dashboard.control import param_changes
from dashboard.control.param_changes import Entered
from dashboard.control.param_fields import ParamField
from dashboard.plain_text import plain

_IDENTIFIERS = re.compile(r"(?!www)[a-z][a-z0-9_.]*")

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
        st.session_state[name] = param_changes.widget_value(field)
    name_of = field.key.partition(".")[2]
    # An escaped label would be read out with its escapes, and identifiers need none.
    label = name_of if _IDENTIFIERS.fullmatch(name_of) else plain(name_of)
    common: dict[str, Any] = {
        "key": name,
        "help": plain(_help(field)) or None,
        "persist_state": "session",
    }
    if field.kind == "choices":
        st.multiselect(label, field.choices, **common)
    elif field.kind == "texts":
        known = dict.fromkeys([*(field.value or ()), *st.session_state[name]])
        st.multiselect(label, list(known), accept_new_options=True, **common)
    elif field.kind == "list" or param_changes.as_text(field):
        st.text_input(label, **common)
    elif field.kind == "flag":
        st.checkbox(label, **common)
    elif field.kind == "choice":
        st.selectbox(label, field.choices, **common)
    elif field.kind == "day":
        st.date_input(label, min_value=FIRST_DAY, max_value=LAST_DAY, format="YYYY-MM-DD", **common)
    else:
        st.number_input(label, **_limits(field), **common)


def _limits(field: ParamField) -> dict[str, Any]:
    """Range and step of a number."""
    kind = int if field.kind == "integer" else float
    limits = {
        name: None if limit is None else kind(limit)
        for name, limit in (("min_value", field.minimum), ("max_value", field.maximum))
    }
    if field.kind == "number":
        # The limits themselves may be refused: the check of the changes says so.
        return {**limits, "step": step(field.value), "format": "%g"}
    if field.open_minimum:
        limits["min_value"] = int(field.minimum or 0) + 1
    if field.open_maximum:
        limits["max_value"] = int(field.maximum or 0) - 1
    return {**limits, "step": 1}


def _help(field: ParamField) -> str:
    parts = (
        field.comment,
        field.range,
        "separated by commas" if field.kind == "list" else "",
        "empty for null" if field.optional else "",
        f"now {param_changes.widget_value(field)}" if field.kind != "flag" else "",
    )
    return "; ".join(filter(None, parts))


def step(value: float) -> float:
    """How far a click moves a number: a unit of its first digit."""
    return float(10.0 ** floor(log10(abs(value)))) if value else 0.1


def entered(name: str, field: ParamField) -> Entered:
    """What is in a widget, or what it will show if it was not shown yet."""
    value: Entered = st.session_state.get(name, param_changes.widget_value(field))
    return value
