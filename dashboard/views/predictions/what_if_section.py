"""What-if: edit the last bars, and see the forecast move."""

from collections.abc import Mapping
from typing import Any

import polars as pl
import streamlit as st

from dashboard.empty_state import empty
from dashboard.error_line import error_line
from dashboard.number_text import percent, price
from dashboard.outlook import own_bars
from dashboard.outlook.symbol_chart import SymbolChart
from dashboard.outlook.symbol_forecasts import SymbolForecast
from dashboard.page_context import Context
from stages.common.errors import StageError

SHARES = {
    "return": "predicted_return",
    "interval, lower": "lower_return",
    "interval, upper": "upper_return",
    "probability of a rise": "probability_of_rise",
}
CLOSES = {"last close": "last_close", "forecast close": "predicted_close"}

_ROUND = "what_if_round"


@st.fragment
def show(context: Context, chart: SymbolChart, own: SymbolForecast) -> None:
    """Show the section, which opens on demand: its table takes a browser a tenth of the page.

    Args:
        context: of the page.
        chart: has the bars.
        own: the newest forecast, from the bars as they are.
    """
    place = st.expander(
        "**What if the last bars were others?**",
        key="what-if",
        on_change="rerun",
        bind="query-params",
    )
    if place.open:
        with place:
            _edit(context, chart, own)


def _edit(context: Context, chart: SymbolChart, own: SymbolForecast) -> None:
    st.caption(
        "Edit a number, and the server forecasts from the edited bars. High and low are widened to "
        "hold open and close. Such a forecast is logged with the source bars, and the monitor does "
        "not judge it."
    )
    answer, before = own.answer, own_bars.editable(chart)
    if before.is_empty():
        empty("The revision keeps no whole bars of this symbol.")
        return
    edited: Any = st.data_editor(
        before,
        key=f"bars-{answer['id']}-{st.session_state.get(_ROUND, 0)}",
        hide_index=True,
        disabled=["date"],
        column_config={
            name: st.column_config.NumberColumn(
                min_value=0.0, format="%.0f" if name == "volume" else "%.2f", required=True
            )
            for name in before.columns[1:]
        },
    )
    if not own_bars.changed(before, edited):
        return
    bars = own_bars.with_edits(chart.bars, edited)
    body = own_bars.request(answer["symbol"], answer["horizon"], bars)
    try:
        after = own_bars.forecast(context.server, answer["model"]["md5"], body)
    except StageError as error:
        error_line(error)
    else:
        st.table(_compared(answer, after), hide_index=True)
        if own.is_mean:
            st.text("The historical mean is served: bars move its interval, and not its return.")
    if st.button("Back to the bars as they are", icon=":material/undo:"):
        st.session_state[_ROUND] = st.session_state.get(_ROUND, 0) + 1
        st.rerun(scope="fragment")


def _compared(before: Mapping[str, Any], after: Mapping[str, Any]) -> pl.DataFrame:
    """Both forecasts, and by how much they differ."""
    one, two = ({**each, **each["interval"]} for each in (before, after))
    rows = [
        (name, percent(one[key]), percent(two[key]), f"{100 * (two[key] - one[key]):+.2f} points")
        for name, key in SHARES.items()
    ]
    rows += [
        (name, price(one[key]), price(two[key]), f"{two[key] - one[key]:+,.2f}")
        for name, key in CLOSES.items()
    ]
    return pl.DataFrame(rows, schema=["value", "as it is", "edited", "difference"], orient="row")
