"""What GET /plot/{symbol} gives: bars, and the forecast for each session with what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import polars as pl
import streamlit as st

from dashboard.served_revision import identity
from dashboard.server_client import Server

MOST = 5_000
"""Sessions of one chart, as many as the server gives."""

BAR = ("date", "open", "high", "low", "close", "adj_close", "volume")
"""Columns of a bar."""

SCHEMA = {
    "date": pl.String,
    "open": pl.Float64,
    "high": pl.Float64,
    "low": pl.Float64,
    "close": pl.Float64,
    "adj_close": pl.Float64,
    "volume": pl.Float64,
    "as_of": pl.String,
    "predicted_return": pl.Float64,
    "lower_return": pl.Float64,
    "upper_return": pl.Float64,
    "probability_of_rise": pl.Float64,
    "actual_return": pl.Float64,
}


@dataclass(frozen=True)
class SymbolChart:
    """A symbol and a horizon by session.

    Attributes:
        table: columns of `SCHEMA`, a row a session of the exchange, oldest first, up to the last
            target. Sessions ahead have no bar.
        level: the share of outcomes that an interval should hold.
    """

    table: pl.DataFrame
    level: float

    @property
    def bars(self) -> pl.DataFrame:
        """The bars that are kept whole, oldest first."""
        return self.table.select(BAR).drop_nulls("open")


def symbol_chart(
    server: Server, version: Mapping[str, Any], symbol: str, horizon: str
) -> SymbolChart:
    """Bars, forecasts and outcomes.

    Args:
        server: to ask.
        version: its answer to /version; the same revision is asked once.
        symbol, horizon: of the chart.

    Raises:
        ServerAwayError, RefusedError: the server does not answer.
    """
    return _chart(server, server.url, identity(version), symbol, horizon)


@st.cache_data(ttl="1h", max_entries=64, show_spinner="Asking the server for the chart")
def _chart(_server: Server, url: str, revision: str, symbol: str, horizon: str) -> SymbolChart:
    del url, revision  # are what it is cached by
    answer = _server.get(f"/plot/{quote(symbol, safe='')}", horizon=horizon, last=MOST)
    columns = {"date": answer["dates"], **{name: answer[name] for name in list(SCHEMA)[1:]}}
    return SymbolChart(pl.DataFrame(columns, schema=SCHEMA), answer["level"])
