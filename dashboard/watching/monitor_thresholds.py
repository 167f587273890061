"""The section `monitor:` of params.yaml, for the pages that show what is measured against it."""

from datetime import timedelta

import streamlit as st

from dashboard.file_stamp import Stamp, stamp
from monitor import settings
from stages.common.sections import PARAMS_FILE
from stages.monitor_params import MonitorParams

ROUNDS = 3
"""Rounds of checks that the monitor may miss."""


def thresholds() -> MonitorParams:
    """The section, read again when the file changes.

    Raises:
        ParamsError: it is wrong.
    """
    return _thresholds(str(PARAMS_FILE.absolute()), stamp(PARAMS_FILE))


def too_old() -> timedelta:
    """The age beyond which a report of the monitor is out of date.

    Raises:
        ParamsError: the section is wrong.
    """
    return ROUNDS * timedelta(minutes=thresholds().schedule.check_minutes)


@st.cache_data(ttl="1h", max_entries=4, show_spinner=False)
def _thresholds(path: str, file: Stamp) -> MonitorParams:
    del path, file  # are what it is cached by
    return settings.thresholds()
