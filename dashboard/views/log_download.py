"""The download of a log, which may have gigabytes: its newest lines, and where the rest is."""

from functools import partial
from pathlib import Path

import streamlit as st

from dashboard.file_stamp import stamp
from dashboard.watching import log_files

MOST = 20_000_000
"""Bytes of a download; the browser and the memory of the dashboard hold all of it."""


def log_download(path: Path, file_name: str) -> None:
    """A button for a log, and a line beside it where it has not all of the log."""
    _, size = stamp(path)
    older = log_files.parts(path)[1:]
    st.download_button(
        "Download the log",
        partial(log_files.newest_bytes, path, MOST),
        file_name=file_name,
        mime="text/plain",
        icon=":material/download:",
        on_click="ignore",
    )
    if size > MOST:
        st.text(
            f"The download has the newest {MOST / 1e6:,.0f} of {size / 1e6:,.1f} MB, from the "
            f"beginning of a line. All of it is in {path} on the machine where this dashboard runs."
        )
    if older:
        st.text(f"Older lines are in {', '.join(map(str, older))}; the download has none of them.")
