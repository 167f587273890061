"""Forecasts of the prediction log, as GET /predictions gives them."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
import streamlit as st

from dashboard.server_client import Server

PAGE = 1_000
"""Forecasts of one answer, as many as the server gives."""

PAGES = 5
"""Answers that make up a history: a bar that was requested thousands of times fills some."""

NEWEST = 5
"""Forecasts that are shown as they come."""

OWN_BARS = "latest"
"""The source of a forecast from a bar of the revision."""

SCHEMA = {
    "id": pl.String,
    "created_at": pl.String,
    "source": pl.String,
    "role": pl.String,
    "client": pl.String,
    "as_of": pl.String,
    "target_date": pl.String,
    "predicted_return": pl.Float64,
    "lower_return": pl.Float64,
    "upper_return": pl.Float64,
    "level": pl.Float64,
    "probability_of_rise": pl.Float64,
    "actual_return": pl.Float64,
    "revision": pl.String,
    "md5": pl.String,
    "version": pl.String,
}


def newest(server: Server, symbol: str, horizon: str) -> pl.DataFrame:
    """The newest answers, newest first; asked at most once in two seconds for all viewers.

    Returns:
        At most `NEWEST` rows of `SCHEMA`.

    Raises:
        ServerAwayError, RefusedError: the server does not answer.
    """
    return _newest(server, server.url, symbol, horizon)


def labelled(server: Server, symbol: str, horizon: str) -> pl.DataFrame:
    """Forecasts of the revisions' own models whose outcome is known, oldest first.

    One bar and model count once, however often they were asked for; what-if forecasts do not count.

    Returns:
        Rows of `SCHEMA`, made of the newest `PAGES * PAGE` of the log.

    Raises:
        ServerAwayError, RefusedError: the server does not answer.
    """
    return _labelled(server, server.url, symbol, horizon)


def distinct(logged: pl.DataFrame) -> pl.DataFrame:
    """Answers from bars of the revision, one a bar and model, by target and then by id."""
    own = logged.filter(pl.col("source") == OWN_BARS).drop_nulls(["as_of", "target_date"])
    return own.sort("id").unique(["as_of", "md5"], keep="first").sort("target_date", "id")


def table(answers: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Logged forecasts as rows of `SCHEMA`, without those that were logged beside an answer."""
    named = [
        {
            **each["interval"],
            **each["model"],
            **each,
            "actual_return": each["label"] and each["label"]["actual_return"],
        }
        for each in answers
        if each["model"].get("role") != "shadow"
    ]
    rows = [{name: row.get(name) for name in SCHEMA} for row in named]
    return pl.DataFrame(rows, schema=SCHEMA)


@st.cache_data(ttl=1.5, max_entries=64, show_spinner=False)
def _newest(_server: Server, url: str, symbol: str, horizon: str) -> pl.DataFrame:
    del url  # is what it is cached by
    # Shadows are among them: one beside each answer, at most.
    answer = _server.get("/predictions", symbol=symbol, horizon=horizon, limit=2 * NEWEST)
    return table(answer["predictions"]).head(NEWEST)


@st.cache_data(ttl="1m", max_entries=64, show_spinner="Asking the server for its log")
def _labelled(_server: Server, url: str, symbol: str, horizon: str) -> pl.DataFrame:
    del url  # is what it is cached by
    pages, cursor = [], None
    for _ in range(PAGES):
        answer = _server.get(
            "/predictions",
            symbol=symbol,
            horizon=horizon,
            labelled="true",
            role="champion",
            limit=PAGE,
            cursor=cursor,
        )
        pages.append(distinct(table(answer["predictions"])))
        cursor = answer["next"]
        if cursor is None:
            break
    return distinct(pl.concat(pages))
