"""What the page reads, cached for all viewers until a file or a ref changes."""

from pathlib import Path

import polars as pl
import streamlit as st

from dashboard.file_stamp import Stamp, stamp
from dashboard.results import experiment_frame, horizon_metrics
from dashboard.results.horizon_metrics import HorizonMetrics
from monitor.retraining.hold_out_pair import HoldOutPair
from versions.repository.lock import LOCK_FILE
from versions.results import experiment_refs, known_revisions
from versions.results.known_revisions import Revision


def metrics(commit: str, horizon: str) -> HorizonMetrics:
    """The results of a horizon at a commit, or in the working tree if it is empty.

    Raises:
        VersionError, InputError: they cannot be read.
    """
    return _metrics(commit, horizon, () if commit else horizon_metrics.stamps(horizon))


@st.cache_data(ttl="1d", max_entries=64, show_spinner=False)
def _metrics(commit: str, horizon: str, stamps: tuple[Stamp, ...]) -> HorizonMetrics:
    del stamps  # are what it is cached by
    return horizon_metrics.read(commit, horizon)


def listed() -> list[Revision]:
    """Every revision that can be compared.

    Raises:
        VersionError: git is missing, or this is not a repository.
    """
    return _listed(known_revisions.state())


@st.cache_data(ttl="1d", max_entries=2, show_spinner=False)
def _listed(state: str) -> list[Revision]:
    del state  # is what it is cached by
    return known_revisions.listed()


def experiments() -> pl.DataFrame:
    """The table of all experiments.

    Raises:
        VersionError: git is missing, or this is not a repository.
    """
    return _experiments(known_revisions.state())


@st.cache_data(ttl="1d", max_entries=2, show_spinner="Reading the experiments")
def _experiments(state: str) -> pl.DataFrame:
    return experiment_frame.frame(experiment_refs.read(_listed(state)))


def pair(one: str, other: str, horizon: str) -> HoldOutPair:
    """Two revisions on the rows that both have; an empty commit is the working tree.

    Raises:
        VersionError, MonitorError: they cannot be compared.
    """
    in_tree = not (one and other)
    return _pair(one, other, horizon, stamp(LOCK_FILE) if in_tree else None)


@st.cache_data(ttl="1d", max_entries=64, show_spinner="Comparing on the rows that both have")
def _pair(one: str, other: str, horizon: str, lock: Stamp | None) -> HoldOutPair:
    # SciPy and the log's library take a second to load.
    from monitor.retraining import hold_out_pair

    del lock  # is what it is cached by
    return hold_out_pair.compare(one, other, horizon, Path.cwd())
