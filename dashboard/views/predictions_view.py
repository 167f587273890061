"""Predictions: one symbol, what is forecast, why, and how earlier forecasts came out."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from dashboard import forecast_frame
from dashboard.charts.contribution_chart import contribution_chart
from dashboard.charts.fan_chart import fan_chart
from dashboard.empty_state import empty
from dashboard.number_text import interval, percent, price, share
from dashboard.outlook import symbol_forecasts
from dashboard.outlook.symbol_chart import symbol_chart
from dashboard.outlook.symbol_forecasts import SymbolForecast
from dashboard.page_context import Context
from dashboard.plain_text import plain
from dashboard.served_revision import served, symbols
from dashboard.show_chart import show_chart
from dashboard.status_mark import mark
from dashboard.url_choice import url_choice
from dashboard.views.predictions import history_section, live_section, what_if_section

SHOWN = (60, 120, 250)
"""Sessions before the forecast that the chart can show."""


def show(context: Context) -> None:
    """Show the page."""
    st.title("Predictions")
    # As the live part asks, or the page would run again until both have the same answer.
    version = served(context.server)
    symbol, horizon, sessions = _choice(context, version)
    forecasts = symbol_forecasts.symbol_forecasts(context.server, version, symbol)
    _cards(forecasts)
    _fan(context, version, forecasts, sessions)
    (own,) = (each for each in forecasts if each.answer["horizon"] == horizon)
    left, right = st.columns(2, gap="large")
    with left:
        _why(own)
    with right:
        live_section.show(context, version, symbol, horizon)
    chart = symbol_chart(context.server, version, symbol, horizon)
    history_section.show(context, chart, symbol, horizon)
    what_if_section.show(context, chart, own)
    st.download_button(
        "Download the newest forecasts",
        forecast_frame.table([each.answer for each in forecasts]).write_csv,
        f"{symbol}-forecasts.csv",
        "text/csv",
        icon=":material/download:",
    )


def _choice(context: Context, version: Mapping[str, Any]) -> tuple[str, str, int]:
    """Symbol, horizon and sessions of the chart; all three are in the address."""
    names = [each["symbol"] for each in symbols(context.server, version)]
    horizons = list(version["models"])
    for key, known in (("symbol", names), ("horizon", horizons)):
        name = st.query_params.get(key)
        if name is not None and name not in known:
            st.warning(plain(f"There is no {key} {name}; this is {known[0]}."))
    one, two, three = st.columns([2, 2, 2])
    symbol = one.selectbox("Symbol", names, key="symbol", bind="query-params")
    horizon = url_choice("Horizon", horizons, "horizon", place=two)
    sessions = url_choice("Sessions shown", SHOWN, "sessions", default=SHOWN[1], place=three)
    return str(symbol), horizon, sessions


def _cards(forecasts: Sequence[SymbolForecast]) -> None:
    columns = st.columns(len(forecasts))
    for place, (column, each) in enumerate(zip(columns, forecasts, strict=True)):
        with column, st.container(border=True, key=f"forecast-{place}"):
            _card(each.answer)


def _card(answer: Mapping[str, Any]) -> None:
    bounds, model = answer["interval"], answer["model"]
    sessions = "1 session" if answer["sessions"] == 1 else f"{answer['sessions']} sessions"
    st.metric(
        plain(f"{answer['horizon']}, {sessions}, for {answer['target_date'] or 'an unknown day'}"),
        percent(answer["predicted_return"]),
    )
    level = f"{100 * bounds['level']:g} %"
    returns = interval(percent(bounds["lower_return"]), percent(bounds["upper_return"]))
    closes = interval(price(bounds["lower_close"]), price(bounds["upper_close"]))
    st.text(
        f"{level} interval: {returns}\n"
        f"Close {price(answer['predicted_close'])}, {level} interval {closes}\n"
        f"Probability of a rise {share(answer['probability_of_rise'])}\n"
        f"From {price(answer['last_close'])} on {answer['as_of']}"
    )
    st.caption(
        plain(
            f"Model {model['version'] or 'not released'}, revision {model['revision'][:7]}, "
            f"forecast {answer['id']}"
        )
    )
    if answer["stale"]:
        st.markdown(mark("warning", "stale: the bars of this symbol ended long before the others"))
    if answer["in_sample"]:
        st.markdown(mark("warning", "in sample: the model was trained on this bar"))
        st.caption(_unseen(answer["out_of_sample"]))


def _unseen(unseen: Mapping[str, float] | None) -> str:
    """What a fit forecast that had not seen the bar."""
    if unseen is None:
        return "This bar is older than the hold-out: no fit was made without it."
    bounds = interval(percent(unseen["lower_return"]), percent(unseen["upper_return"]))
    return plain(
        "The fit that had not seen this bar forecast "
        f"{percent(unseen['predicted_return'])} ({bounds})."
    )


def _fan(
    context: Context,
    version: Mapping[str, Any],
    forecasts: Sequence[SymbolForecast],
    sessions: int,
) -> None:
    table = forecast_frame.table([each.answer for each in forecasts])
    symbol, farthest = table["symbol"][0], table.sort("sessions")["horizon"][-1]
    chart = symbol_chart(context.server, version, symbol, farthest).table
    bars, ahead = chart.drop_nulls("close").tail(sessions), chart.filter(chart["close"].is_null())
    last = max(table["target_date"].drop_nulls(), default="")
    coming = [day for day in ahead["date"] if day <= last]
    st.subheader("Bars, and the forecasts ahead of them")
    show_chart(
        fan_chart([*bars["date"], *coming], bars, table),
        f"Candles of the last {bars.height} sessions of {symbol}, and the forecast close of "
        f"each horizon with its interval, up to {last}.",
        key="fan",
        tools=True,
    )
    st.caption(
        "Diamonds are the forecasts; lines between them are only drawn. Hollow bars rose, filled "
        "ones fell. One step is one session."
    )


def _why(own: SymbolForecast) -> None:
    answer, why = own.answer, own.explanation
    st.subheader(f"Why {percent(answer['predicted_return'])}")
    if why is None:
        empty("This forecast is not explained.", own.unexplained)
        return
    if own.is_mean:
        st.text(
            "The historical mean is served: it is the whole forecast, "
            f"{percent(why['base'])}, and every feature contributes 0."
        )
        return
    st.text(
        f"The mean forecast is {percent(why['base'], digits=3)}; with what the features add it is "
        f"{percent(why['forecast'], digits=3)}."
    )
    show_chart(
        contribution_chart(why["contributions"]),
        "The features that add most to the forecast, in percentage points of return.",
        key="why",
    )
