"""What is wrong now, since when, and what to do about it."""

import streamlit as st

from dashboard.empty_state import empty
from dashboard.page_context import Context, in_zones
from dashboard.plain_text import plain
from dashboard.status_mark import mark
from dashboard.watching import current_state, monitor_thresholds, runbook_text
from dashboard.watching.current_state import Current, Finding
from dashboard.watching.runbook_text import Runbook
from dashboard.watching.time_spans import in_words
from monitor.alerts import silences
from monitor.alerts.episodes import Episode
from stages.common.errors import StageError

_STATES = {"CRITICAL": "critical", "WARNING": "warning", "INFO": "unknown"}


def show(context: Context) -> None:
    """Show alerts that go on, then checks that are not well and have no alert."""
    now = current_state.current(context.monitor)
    if now.away is not None:
        empty(
            f"The database of forecasts and measurements cannot be read: {now.away}.",
            "What follows is from the files of the monitor.",
        )
    if now.checked_at is None and not now.episodes:
        empty(
            "The monitor has not checked anything here yet.",
            "Start it beside the server, or let it check once:",
            "python -m monitor run",
        )
        return
    _freshness(now, context)
    books = _runbooks()
    for episode in now.episodes:
        _alert(episode, now, books.get(episode.rule), context)
    for finding in now.beside:
        _finding(finding, books.get(finding.check))
    if not now.episodes and not now.beside:
        checks = len(now.findings)
        st.markdown(mark("ok", "nothing is wrong") + f" All of {checks} checks are well.")


def _freshness(now: Current, context: Context) -> None:
    if now.checked_at is None:
        return
    age = context.monitor.clock - now.checked_at
    st.caption(
        plain(f"Last check {in_zones(now.checked_at, context)}, {in_words(age)} ago")
        + f" · alerts that go on: {len(now.episodes)}"
    )
    try:
        is_old = age > monitor_thresholds.too_old()
        minutes = monitor_thresholds.thresholds().schedule.check_minutes
    except StageError:
        return
    if is_old:
        empty(
            f"Nothing was checked for {in_words(age)}, and a check is due every {minutes} minutes: "
            "the monitor does not run, and what is below may be out of date.",
            "",
            "python -m monitor run",
        )


@st.cache_data(ttl="10m")
def _runbooks() -> dict[str, Runbook]:
    return runbook_text.read()


def _alert(episode: Episode, now: Current, book: Runbook | None, context: Context) -> None:
    age = context.monitor.clock - episode.started_at
    since = f"since {in_zones(episode.started_at, context)}, {in_words(age)}"
    sentence, _, remedy = episode.message.partition(". To do: ")
    with st.container(border=True, gap="small"):
        _head(
            f"{mark(_STATES[episode.severity], episode.severity)} "
            f"**{plain(episode.rule)}** {plain(episode.about)} · {plain(since)}",
            book,
        )
        st.markdown(_finding_text(sentence, remedy))
        if silences.is_silent(now.silent, episode.rule, context.monitor.clock):
            st.caption("Silenced: people are told when the silence ends.")


def _finding(finding: Finding, book: Runbook | None) -> None:
    with st.container(border=True, gap="small"):
        _head(
            f"{mark(finding.status)} **{plain(finding.check)}** {plain(finding.of)} · no alert yet",
            book,
        )
        st.markdown(_finding_text(finding.sentence, finding.remedy))


def _finding_text(sentence: str, remedy: str) -> str:
    """What was found, and below it what to do."""
    return plain(sentence) + (f"  \n**To do:** {plain(remedy)}" if remedy else "")


def _head(text: str, book: Runbook | None) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(text, width="content")
        if book is None:
            return
        with st.popover("Runbook", icon=":material/menu_book:", type="tertiary"):
            st.markdown(f"**What it means.** {book.means}")
            st.markdown(f"**Look at.** {book.look}")
            st.markdown(f"**Type.** {book.do}")
