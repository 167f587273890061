"""What-if: the last bars as someone edits them, and the forecast from them.

The server logs such a forecast with the source `bars`. The monitor judges those of `latest` alone.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import polars as pl
import streamlit as st

from dashboard.outlook.symbol_chart import SymbolChart
from dashboard.server_client import Server

EDITED: Final = 5
"""Bars that can be edited, the last."""

PRICES: Final = ("open", "high", "low", "close")


def editable(chart: SymbolChart) -> pl.DataFrame:
    """The bars to edit, oldest first: `date`, prices and `volume`."""
    return chart.bars.tail(EDITED).select("date", *PRICES, "volume")


def with_edits(bars: pl.DataFrame, edits: pl.DataFrame) -> pl.DataFrame:
    """Bars with some replaced.

    `adj_close` moves with the close: the server takes an edit for a move of the market, not for a
    split. High and low are widened where they would not hold open and close.

    Args:
        bars: `date`, prices, `adj_close` and `volume`, oldest first.
        edits: the last of them as they should be, without `adj_close`.
    """
    others, former = bars.head(bars.height - edits.height), bars.tail(edits.height)
    ratio = former["adj_close"] / former["close"]
    new = edits.with_columns(
        high=pl.max_horizontal("high", "open", "close"),
        low=pl.min_horizontal("low", "open", "close"),
        adj_close=pl.col("close") * ratio,
    )
    return pl.concat([others, new.select(others.columns)])


def changed(before: pl.DataFrame, after: pl.DataFrame) -> bool:
    """Whether a bar was edited."""
    return not before.equals(after)


def request(symbol: str, horizon: str, bars: pl.DataFrame) -> Mapping[str, Any]:
    """The body of POST /predict."""
    columns = ("date", *PRICES, "adj_close", "volume")
    return {"symbol": symbol, "horizon": horizon, "bars": bars.select(columns).rows(named=True)}


def forecast(server: Server, md5: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The forecast from own bars; the same bars are asked once, since the server logs each.

    Args:
        server: to ask.
        md5: of the model that answers.
        body: what `request` gives.

    Raises:
        ServerAwayError, RefusedError: the server does not answer, or finds the bars impossible.
    """
    return _forecast(server, server.url, md5, json.dumps(body))


@st.cache_data(ttl="1h", max_entries=64, show_spinner=False)
def _forecast(_server: Server, url: str, md5: str, body: str) -> Mapping[str, Any]:
    del url, md5  # are what it is cached by
    one: Mapping[str, Any] = _server.post("/predict", json.loads(body))["predictions"][0]
    return one
