"""A choice of one among a few, which the address of the page holds."""

from collections.abc import Sequence
from typing import Any, TypeVar

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

_T = TypeVar("_T")


def url_choice(
    label: str,
    options: Sequence[_T],
    key: str,
    *,
    default: _T | None = None,
    place: DeltaGenerator | None = None,
    **arguments: Any,
) -> _T:
    """Show the options beside each other; returns the one that is chosen.

    Args:
        label: of the choice.
        options: at least one.
        key: its name in the address.
        default: what is chosen at first; the first option by default.
        place: such as a column; where the script is by default.
        arguments: further ones of `st.segmented_control`.
    """
    first = options[0] if default is None else default
    show = st.segmented_control if place is None else place.segmented_control
    chosen: _T | None = show(
        label, options, default=first, required=True, key=key, bind="query-params", **arguments
    )
    return first if chosen is None else chosen
