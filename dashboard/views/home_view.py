"""Home: what is forecast, whether it may be trusted, and what to do if not."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import streamlit as st

from dashboard.overview import production, statuses, stored_health
from dashboard.overview.statuses import Status
from dashboard.page_context import Context, guarded, in_zones
from dashboard.plain_text import plain
from dashboard.server_client import RefusedError, ServerAwayError
from dashboard.status_mark import mark
from dashboard.views.home import forecast_tables
from dashboard.watching import current_state, monitor_thresholds, stored_decisions
from stages.common.errors import StageError, few

COLUMNS = 3
"""Cards beside each other on a wide screen."""


def show(context: Context) -> None:
    """Show the page."""
    st.title("Home")
    _live(_verdict, context)
    forecast_tables.show(context)
    _live(_parts, context)


@st.fragment(run_every="10s")
def _live(part: Callable[[Context], None], context: Context) -> None:
    guarded(part, context)


def _verdict(context: Context) -> None:
    parts = _statuses(context)
    wrong = [part for part in parts if part.state in ("warning", "critical")]
    unknown = [part.name for part in parts if part.state == "unknown"]
    alerts = [
        f"{each.rule} {each.about}".strip()
        for each in current_state.of_file(context.monitor)
        if each.severity != "INFO"
    ]
    if wrong:
        sentence = f"Look at {few(part.name for part in wrong)}."
    elif alerts:
        sentence = "Look at Monitoring."
    elif unknown:
        sentence = f"Nothing is wrong; nothing is known of {few(unknown)}."
    else:
        sentence = "All is well."
    st.markdown(f"**{plain(sentence)}** " + " ".join(mark(each.state, each.name) for each in parts))
    if alerts:
        st.text(f"Alerts that go on: {few(alerts)}. Monitoring says since when, and what to do.")
    _cards(wrong)
    _last_decision(context)
    _in_production(context)


def _parts(context: Context) -> None:
    st.subheader("How each part is", anchor=False)
    _cards(_statuses(context))
    report = stored_health.read(context.monitor)
    sentence = "The monitor has not looked yet."
    if report is not None:
        sentence = f"The monitor last looked on {in_zones(report.at, context)}."
    st.caption(plain(sentence))


def _statuses(context: Context) -> list[Status]:
    settings = context.monitor
    report = stored_health.read(settings)
    return statuses.statuses(_health(context), report, settings.clock, _too_old())


def _health(context: Context) -> dict[str, object] | str:
    try:
        return dict(context.server.health())
    except (ServerAwayError, RefusedError) as error:
        return str(error)


def _too_old() -> timedelta:
    try:
        return monitor_thresholds.too_old()
    except StageError:
        return timedelta(hours=1)


def _cards(parts: list[Status]) -> None:
    for begin in range(0, len(parts), COLUMNS):
        row = parts[begin : begin + COLUMNS]
        for column, part in zip(st.columns(COLUMNS), row, strict=False):
            place = column.container(border=True, height="stretch")
            place.markdown(f"**{plain(part.name.capitalize())}** {mark(part.state)}")
            place.text(part.reason)
            if part.remedy:
                place.text(f"To do: {part.remedy}")


def _last_decision(context: Context) -> None:
    """The last decision, from its file in git: it is there without a database."""
    try:
        decision = stored_decisions.newest_of_files(Path())
    except StageError as error:
        st.text(str(error))
        return
    if decision is not None:
        because = f"{decision.reason}, {decision.outcome}: {decision.because}"
        st.text(f"Last decision, {in_zones(decision.created_at, context)}: {because}.")


def _in_production(context: Context) -> None:
    try:
        placed = _production()
    except StageError as error:
        st.text(str(error))
        return
    for each in placed:
        st.text(
            f"{each.horizon} {each.version} ({each.commit[:7]}) is in production since "
            f"{in_zones(each.since, context)}, put there by {each.by}."
        )
    if not placed:
        st.text("Nothing was promoted yet; the server answers from what is checked out.")


@st.cache_data(ttl="5s", show_spinner=False)
def _production() -> list[production.InProduction]:
    return production.read()
