"""The logs of this machine: filter, search, follow, download."""

from pathlib import Path

import polars as pl
import streamlit as st

from dashboard.empty_state import empty
from dashboard.file_stamp import Stamp, stamp
from dashboard.page_context import Context, guarded
from dashboard.views.log_download import log_download
from dashboard.watching import log_files, log_lines
from dashboard.watching.log_files import Tail

_EVERY = "2s"
_FOLLOWED = 20_000_000
"""Bytes that are read each time while a log is followed."""


def show(context: Context) -> None:
    """Show the newest lines of a log that match."""
    logs = log_files.logs(context.monitor.var)
    if not logs:
        empty(
            f"There is no log below {context.monitor.var}.",
            "Server, monitor and dashboard together keep one:",
            "make up",
        )
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox("Log", list(logs), key="log", bind="query-params", width=300)
        level = st.selectbox("Level", log_files.LEVELS, key="level", bind="query-params", width=200)
        text = st.text_input(
            "Text", key="text", bind="query-params", type="search", max_chars=200, width=300
        )
        follow = st.toggle("Follow", key="follow", bind="query-params")
    path = logs[str(chosen)]
    bound = _FOLLOWED if follow else log_files.BOUND

    def part() -> None:
        guarded(lambda _: _lines(path, str(level), text or "", bound), context)

    st.fragment(part, run_every=_EVERY if follow else None, key="log lines")()
    log_download(path, path.name)


def _lines(path: Path, level: str, text: str, bound: int) -> None:
    if not path.exists():
        empty(f"{path} is not there any more.", "Choose another log.")
        return
    tail = _tail(str(path), stamp(path), level, text, bound)
    st.caption(_says(tail))
    if not tail.lines:
        empty("No line matches.", "Choose another level or text.")
        return
    rows = [log_lines.parsed(line) for line in tail.lines]
    st.dataframe(
        pl.DataFrame(
            {
                "time": [row.at for row in rows],
                "of": [row.source for row in rows],
                "level": [row.level for row in rows],
                "line": [row.text for row in rows],
            }
        ),
        hide_index=True,
        height=560,
        alt="Lines of the log, the newest first",
        column_config={
            "time": st.column_config.TextColumn("time (UTC)", width=190),
            "of": st.column_config.TextColumn(width=90),
            "level": st.column_config.TextColumn(width=80),
            "line": st.column_config.TextColumn(width="large"),
        },
    )
    st.download_button(
        "These lines",
        "\n".join(tail.lines[::-1]) + "\n",
        file_name=f"{path.stem}-lines.log",
        mime="text/plain",
        icon=":material/download:",
        on_click="ignore",
    )


@st.cache_data(ttl="30s", max_entries=8, show_spinner="Searching the log")
def _tail(path: str, log: Stamp, level: str, text: str, bound: int) -> Tail:
    del log  # is what it is cached by
    return log_files.tail(Path(path), level, text, bound)


def _says(tail: Tail) -> str:
    lines, size = f"{len(tail.lines):,}", _size(tail.size)
    if tail.whole:
        return f"Lines that match: all {lines}, of {size}; the newest is the first."
    return (
        f"Lines that match: the newest {lines}; the newest is the first. {_size(tail.read)} of "
        f"{size} were read, and older lines may match too."
    )


def _size(count: int) -> str:
    """Bytes in the unit that suits them."""
    return f"{count / 1e6:,.1f} MB" if count >= 1e6 else f"{-(-count // 1_000)} kB"  # noqa: PLR2004
