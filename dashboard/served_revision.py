"""What the server serves, in a form that answers can be cached by."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from dashboard.server_client import Server


def served(server: Server) -> Mapping[str, Any]:
    """The answer to /version; asked at most once in two seconds for all viewers.

    Raises:
        ServerAwayError, RefusedError: the server does not answer.
    """
    answer: Mapping[str, Any] = _served(server, server.url)
    return answer


def identity(version: Mapping[str, Any]) -> str:
    """What an answer of the revision depends on: it changes when the server follows a checkout.

    The same for all workers of a server, and after a restart.

    Args:
        version: the answer to /version.
    """
    models = {name: [model["md5"], model["version"]] for name, model in version["models"].items()}
    return json.dumps([version["revision"], version["as_of"], models])


def symbols(server: Server, version: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The answer to /symbols, asked once a revision.

    Raises:
        ServerAwayError, RefusedError: the server does not answer.
    """
    answer: Sequence[Mapping[str, Any]] = _symbols(server, server.url, identity(version))
    return answer


@st.cache_data(ttl=1.5, max_entries=4, show_spinner=False)
def _served(_server: Server, url: str) -> Any:
    del url  # is what it is cached by
    return _server.version()


@st.cache_data(ttl="1h", max_entries=4, show_spinner=False)
def _symbols(_server: Server, url: str, revision: str) -> Any:
    del url, revision  # are what it is cached by
    return _server.get("/symbols")
