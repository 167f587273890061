"""The newest forecast of a symbol for each horizon, with its explanation, as the server answers it.

The server logs what it answers, so it is asked once for a revision, whoever looks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from dashboard.served_revision import identity
from dashboard.server_client import RefusedError, Server


@dataclass(frozen=True)
class SymbolForecast:
    """One forecast.

    Attributes:
        answer: to POST /predict/{horizon}.
        explanation: of the answer; None if there is none.
        unexplained: why there is none, in the server's words.
    """

    answer: Mapping[str, Any]
    explanation: Mapping[str, Any] | None
    unexplained: str

    @property
    def is_mean(self) -> bool:
        """Whether the historical mean is served, as far as an explanation tells."""
        return self.explanation is not None and not any(self.explanation["contributions"].values())


def symbol_forecasts(
    server: Server, version: Mapping[str, Any], symbol: str
) -> Sequence[SymbolForecast]:
    """The newest forecasts of a symbol, one a horizon, in the server's order.

    Args:
        server: to ask.
        version: its answer to /version; the same revision is asked once.
        symbol: whose.

    Raises:
        ServerAwayError, RefusedError: the server does not answer.
    """
    return _forecasts(server, server.url, identity(version), symbol, tuple(version["models"]))


@st.cache_data(ttl="1h", max_entries=256, show_spinner="Asking the server for its forecasts")
def _forecasts(
    _server: Server, url: str, revision: str, symbol: str, horizons: Sequence[str]
) -> list[SymbolForecast]:
    del url, revision  # are what it is cached by
    return [ask(_server, horizon, symbol) for horizon in horizons]


def ask(server: Server, horizon: str, symbol: str) -> SymbolForecast:
    """One forecast, explained if the revision explains it."""
    path = f"/predict/{horizon}"
    try:
        answer = server.post(path, {"symbol": symbol, "explain": True})
    except RefusedError as error:
        # Where something else is wrong, this is refused too.
        return SymbolForecast(server.post(path, {"symbol": symbol}), None, str(error))
    return SymbolForecast(answer, answer["explanation"], "")
