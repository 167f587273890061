"""Alerts: from when to when, and who was told."""

from datetime import timedelta

import polars as pl
import streamlit as st

from dashboard.charts import time_bars
from dashboard.charts.chart_style import FALL, OUTCOME, WARNING
from dashboard.empty_state import empty
from dashboard.page_context import Context, in_zones
from dashboard.views.monitoring import tab_parts
from dashboard.watching import current_state, store_reading, stored_alerts, time_spans
from monitor.alerts import outbox
from monitor.alerts.episodes import Episode

_COLOURS = (FALL, WARNING, OUTCOME)
_MARGIN = timedelta(minutes=1)


def show(context: Context) -> None:
    """Show the timeline, the table, silences and channels."""
    chosen = tab_parts.span()
    episodes = store_reading.read(stored_alerts.episodes, context.monitor, chosen)
    if episodes:
        _timeline(context, episodes, chosen)
        _table(context, episodes)
    else:
        empty(f"No alert went on within the chosen span ({chosen}).", "That is good news.")
    _silences(context)
    _channels(context)


def _timeline(context: Context, episodes: list[Episode], chosen: str) -> None:
    now = context.monitor.clock
    oldest = min(each.started_at for each in episodes) - _MARGIN
    begin = max(time_spans.begin(chosen, now), oldest)
    tab_parts.chart(
        "When each alert went on",
        time_bars.bars(
            stored_alerts.spans(episodes, begin, now), stored_alerts.SEVERITIES, _COLOURS
        ),
        "A row for each rule, with a bar from begin to end of each of its episodes",
    )


def _table(context: Context, episodes: list[Episode]) -> None:
    box = outbox.read(context.monitor.folder)
    names = stored_alerts.channels(context.monitor)
    rows = [
        {
            "severity": each.severity,
            "rule": each.rule,
            "of": each.about,
            "began": in_zones(each.started_at, context),
            "ended": in_zones(each.ended_at, context) if each.ended_at else "goes on",
            "lasted": time_spans.in_words(
                (each.ended_at or context.monitor.clock) - each.started_at
            ),
            "told": stored_alerts.delivery_state(each, box, names),
            "message": each.message,
        }
        for each in episodes
    ]
    st.dataframe(pl.DataFrame(rows), hide_index=True, alt="Every episode of the span, newest first")


def _silences(context: Context) -> None:
    st.markdown("**Silences**")
    silent = current_state.silences_now(context.monitor)
    if not silent:
        empty(
            "No rule is silent. During planned work alerts can be recorded without being sent:",
            "",
            "python -m monitor silence --for 2h --rule 'drift*' --reason 'the feed moves'",
        )
        return
    rows = [
        {
            "rule": each.rule,
            "since": in_zones(each.since, context),
            "until": in_zones(each.until, context),
            "by": each.by,
            "reason": each.reason,
            "id": each.id,
        }
        for each in silent
    ]
    st.dataframe(pl.DataFrame(rows), hide_index=True, alt="Silences that hold or are to come")


def _channels(context: Context) -> None:
    st.markdown("**Channels**")
    lines = stored_alerts.states(context.monitor, outbox.read(context.monitor.folder))
    if not lines:
        empty(
            "MONITOR_ALERT_URLS names no channel: alerts are recorded, and nobody is told.",
            "Set it in .env, then try it:",
            "python -m monitor alerts --test",
        )
    for line in lines:
        st.text(line)
