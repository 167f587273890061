"""The newest forecast of every symbol and horizon, as the server answers it.

The server logs what it answers, so the dashboard asks once for a revision and shows that to all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import streamlit as st

from dashboard.forecast_frame import table
from dashboard.served_revision import identity, symbols
from dashboard.server_client import INVALID_ROWS, RefusedError, Server

ROWS = 1_000
"""Of one request; the server takes as many by default (SERVE_MAX_BATCH)."""


@dataclass(frozen=True)
class Newest:
    """The newest forecasts.

    Attributes:
        table: a row per symbol and horizon; see `forecast_frame.SCHEMA`.
        refused: what has no forecast, such as a symbol with too few bars, in the server's words.
    """

    table: pl.DataFrame
    refused: Sequence[str]


def newest_forecasts(server: Server, version: Mapping[str, Any]) -> Newest:
    """The newest forecast of every symbol and horizon.

    Args:
        server: to ask.
        version: its answer to /version; the same revision is asked once.

    Raises:
        ServerAwayError, RefusedError: it does not answer.
    """
    return _forecasts(server, server.url, identity(version), version)


@st.cache_data(ttl="1h", max_entries=4, show_spinner="Asking the server for its forecasts")
def _forecasts(_server: Server, url: str, revision: str, _version: Mapping[str, Any]) -> Newest:
    del url, revision  # are what it is cached by
    # Only answers for one symbol say whether it is stale.
    stale = {each["symbol"]: each["stale"] for each in symbols(_server, _version)}
    names = list(stale)
    answers: list[Mapping[str, Any]] = []
    refused: list[str] = []
    for horizon in _version["models"]:
        for begin in range(0, len(names), ROWS):
            batch = _batch(_server, horizon, names[begin : begin + ROWS])
            answers += batch[0]
            refused += batch[1]
    rows = [{**answer, "stale": stale[answer["symbol"]]} for answer in answers]
    return Newest(table(rows), refused)


def _batch(
    server: Server, horizon: str, names: Sequence[str]
) -> tuple[list[Mapping[str, Any]], list[str]]:
    """The forecasts of some symbols, and why others have none.

    The server answers all rows of a batch or none: the halves of a refused one are asked again, so
    that a symbol that is new to the market does not hide the others.
    """
    rows = [{"symbol": name} for name in names]
    try:
        answer = server.post("/batch-predict", {"horizon": horizon, "rows": rows})
    except RefusedError as error:
        if error.kind != INVALID_ROWS:
            raise
        if len(names) == 1:
            return [], [f"{horizon}: {str(error).removeprefix('rows.0: ')}"]
    else:
        return answer["predictions"], []
    middle = len(names) // 2
    parts = [_batch(server, horizon, half) for half in (names[:middle], names[middle:])]
    return parts[0][0] + parts[1][0], parts[0][1] + parts[1][1]
