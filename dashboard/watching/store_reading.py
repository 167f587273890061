"""Reads the monitor's tables for the pages: bounded in time, and once for all viewers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import streamlit as st
from sqlalchemy import Connection

from monitor.settings import Settings
from predictions import engine as engines
from predictions import migrate
from predictions.engine import LogError

_T = TypeVar("_T")

TIMEOUTS = 4
"""Time-outs that a history of years may take, unlike the question whether the log is there."""


@contextmanager
def reading(settings: Settings, timeouts: int = 1) -> Iterator[Connection]:
    """A connection to the log that only reads.

    Args:
        settings: of the monitor.
        timeouts: how many time-outs of the settings after which a statement is cancelled.

    Raises:
        LogError: the log is not there, is away, or has other tables than this code reads.
    """
    seconds = timeouts * settings.timeout
    with engines.opened(settings.log_url, seconds, read_only=True) as engine:
        migrate.check(engine)
        with engine.connect() as connection:
            yield connection


def problem(settings: Settings) -> str | None:
    """Why the log cannot be read; None if it can. It is asked anew after 10 seconds."""
    return _problem(settings.log_url, settings)


@st.cache_data(ttl="10s", max_entries=4, show_spinner="Asking the database")
def _problem(place: str, _settings: Settings) -> str | None:  # noqa: ARG001  # key of the cache
    try:
        with reading(_settings):
            return None
    except LogError as error:
        return str(error)


def read(
    query: Callable[..., _T], settings: Settings, *arguments: str | int | tuple[str, ...]
) -> _T:
    """What a function reads from the log; the same again within 30 seconds is remembered.

    Args:
        query: gets a connection, the settings and the arguments.
        settings: of the monitor.
        arguments: of the function.

    Raises:
        LogError: the log cannot be read; a database that hangs costs its time-out once in 10
            seconds, not once a part of the page.
    """
    away = problem(settings)
    if away is not None:
        raise LogError(away)
    name = f"{query.__module__}.{query.__qualname__}"
    result: _T = _read(name, settings.log_url, arguments, query, settings)
    return result


@st.cache_data(ttl="30s", max_entries=64, show_spinner="Reading what the monitor stored")
def _read(
    name: str,  # noqa: ARG001  # key of the cache
    place: str,  # noqa: ARG001  # the same
    arguments: tuple[Any, ...],
    _query: Callable[..., Any],
    _settings: Settings,
) -> Any:
    with reading(_settings, TIMEOUTS) as connection:
        return _query(connection, _settings, *arguments)
