"""The newest forecast of every symbol and horizon, as the server answers it.

The server logs what it answers, so the dashboard asks once for a revision and shows that to all.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
import streamlit as st

from dashboard.served_revision import identity
from dashboard.server_client import Server

ROWS = 1_000
"""Of one request; the server takes as many by default (SERVE_MAX_BATCH)."""

SCHEMA = {
    "symbol": pl.String,
    "horizon": pl.String,
    "sessions": pl.Int64,
    "as_of": pl.String,
    "target_date": pl.String,
    "last_close": pl.Float64,
    "predicted_return": pl.Float64,
    "predicted_close": pl.Float64,
    "probability_of_rise": pl.Float64,
    "lower_return": pl.Float64,
    "upper_return": pl.Float64,
    "level": pl.Float64,
    "stale": pl.Boolean,
    "id": pl.String,
    "revision": pl.String,
}


def newest_forecasts(server: Server, version: Mapping[str, Any]) -> pl.DataFrame:
    """A row per symbol and horizon; see `SCHEMA`. Returns are fractions, dates ISO 8601.

    Args:
        server: to ask.
        version: its answer to /version; the same revision is asked once.

    Raises:
        ServerAwayError, RefusedError: it does not answer.
    """
    return _asked(server, identity(version), tuple(version["models"]))


@st.cache_data(ttl="1h", max_entries=4, show_spinner="Asking the server for its forecasts")
def _asked(
    _server: Server,
    revision: str,  # noqa: ARG001  # part of the key of the cache
    horizons: Sequence[str],
) -> pl.DataFrame:
    symbols = _server.get("/symbols")
    rows = [
        row
        for horizon in horizons
        for begin in range(0, len(symbols), ROWS)
        for row in _server.post(
            "/batch-predict",
            {
                "horizon": horizon,
                "rows": [{"symbol": each["symbol"]} for each in symbols[begin : begin + ROWS]],
            },
        )["predictions"]
    ]
    stale = {each["symbol"]: each["stale"] for each in symbols}
    flat = [
        {
            **row,
            **row["interval"],
            "revision": row["model"]["revision"],
            "stale": stale[row["symbol"]],
        }
        for row in rows
    ]
    return pl.DataFrame([{name: row[name] for name in SCHEMA} for row in flat], schema=SCHEMA)
