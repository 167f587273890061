"""Candles and the fan ahead of them: the figure has the values of its frames."""

from typing import Any

import plotly.graph_objects as go
import polars as pl

from dashboard.charts.fan_chart import TICKS, fan_chart

SESSIONS = ["2012-12-27", "2012-12-28", "2012-12-31", "2013-01-02", "2013-01-03", "2013-01-04"]
BARS = pl.DataFrame(
    {
        "date": SESSIONS[:3],
        "open": [None, 10.0, 11.0],
        "high": [None, 12.0, 11.5],
        "low": [None, 9.0, 10.5],
        "close": [9.5, 11.0, 11.2],
    }
)
FORECASTS = pl.DataFrame(
    {
        "horizon": ["<b>far</b>", "near", "nowhere"],
        "sessions": [3, 1, 500],
        "as_of": ["2012-12-31"] * 3,
        "target_date": ["2013-01-04", "2013-01-02", None],
        "last_close": [11.2] * 3,
        "level": [0.9] * 3,
        "predicted_close": [11.6, 11.3, 20.0],
        "lower_close": [10.0, 11.0, 1.0],
        "upper_close": [13.0, 11.7, 40.0],
    }
)


def traces(figure: go.Figure) -> dict[str, Any]:
    return {trace.name: trace for trace in figure.data}


def test_the_fan_begins_at_the_last_close_and_widens_to_each_target() -> None:
    by_name = traces(fan_chart(SESSIONS, BARS, FORECASTS))
    days = ("2012-12-31", "2013-01-02", "2013-01-04")
    for name, values in {
        "forecast": (11.2, 11.3, 11.6),
        "90 % interval": (11.2, 11.0, 10.0),
        "upper": (11.2, 11.7, 13.0),
    }.items():
        assert by_name[name].x == days
        assert by_name[name].y == values
    assert by_name["forecast"].text == (
        "",
        "near",
        "&lt;b&gt;far&lt;/b&gt;",
    )


def test_bars_are_candles_and_a_close_alone_is_a_line() -> None:
    by_name = traces(fan_chart(SESSIONS, BARS, FORECASTS.clear()))
    assert set(by_name) == {"bar", "close"}
    bar, close = by_name["bar"], by_name["close"]
    assert (bar.x, bar.open, bar.high, bar.low, bar.close) == (
        ("2012-12-28", "2012-12-31"),
        (10.0, 11.0),
        (12.0, 11.5),
        (9.0, 10.5),
        (11.0, 11.2),
    )
    assert (close.x, close.y) == (("2012-12-27",), (9.5,))


def test_every_session_has_one_step_and_months_are_labelled() -> None:
    axis = fan_chart(SESSIONS, BARS, FORECASTS).layout.xaxis
    assert (axis.type, axis.categoryarray) == ("category", tuple(SESSIONS))
    assert (axis.tickvals, axis.ticktext) == (("2013-01-02",), ("2013-01",))
    years = [f"{year}-{month:02}-15" for year in (2010, 2011) for month in range(1, 13)]
    assert len(fan_chart(years, BARS, FORECASTS).layout.xaxis.tickvals) <= TICKS
