"""Decisions: when, why, every gate's number and answer, and what followed."""

from pathlib import Path

import polars as pl
import streamlit as st

from dashboard.charts import time_bars
from dashboard.empty_state import empty
from dashboard.page_context import Context, in_zones
from dashboard.plain_text import plain
from dashboard.views.monitoring import tab_parts
from dashboard.watching import store_reading, stored_decisions
from dashboard.watching.stored_decisions import Stored
from monitor.retraining.decisions import Decision
from predictions.engine import LogError

_OUTCOMES = ("promoted", "rejected", "shadow", "approval", "rolled back", "refused", "failed")
_FIRST = "production"


def show(context: Context) -> None:
    """Show the timeline, one decision, and where models were put."""
    try:
        known = store_reading.read(stored_decisions.stored, context.monitor)
    except LogError:
        known = stored_decisions.of_files(Path())
        st.caption("From the files in decisions/: the database cannot be read.")
    if not known.decisions:
        empty(
            "Nothing was decided yet: a decision is made when drift, the schedule or a person "
            "proposes a retraining.",
            "Propose one:",
            "python -m monitor retrain --reason manual",
        )
    else:
        tab_parts.chart(
            "Decisions",
            time_bars.bars(stored_decisions.timeline(known.decisions), _OUTCOMES),
            "When each decision was made, in a row for each reason, with a sign for its outcome",
        )
        names = [each.id for each in known.decisions]
        chosen = st.selectbox("Decision", names, key="decision", bind="query-params")
        _decision(next(each for each in known.decisions if each.id == chosen), known, context)
    _places(known, context)


def _decision(decision: Decision, known: Stored, context: Context) -> None:
    who = decision.decided_by or decision.document.get("asked", {}).get("by") or "the monitor"
    champion, challenger = (
        (commit or "-")[:7] for commit in (decision.champion, decision.challenger)
    )
    when = (
        f"{in_zones(decision.created_at, context)} · reason {decision.reason} · "
        f"lane {decision.lane or '-'} · by {who} · champion {champion} · challenger {challenger}"
    )
    st.markdown(f"**{plain(decision.outcome)}** · {plain(decision.because)}  \n{plain(when)}")
    gates = stored_decisions.gates(decision)
    if gates.is_empty():
        st.caption("No gate was asked: nothing was compared.")
    else:
        number = st.column_config.NumberColumn(format="%.4g")
        st.dataframe(
            gates,
            hide_index=True,
            alt="Every gate with its number, its threshold and its answer",
            column_config={"effect": number, "threshold": number},
        )
        st.caption(
            "A gate passes, fails or is inconclusive: more labels may answer it. One that fails "
            "rejects the challenger; an inconclusive one keeps the champion."
        )
    for sentence in stored_decisions.followed(decision, known):
        st.text(f"→ {sentence}")
    st.code(f"python -m monitor explain {decision.id}", language="sh", wrap_lines=True)


def _places(known: Stored, context: Context) -> None:
    if known.places.is_empty():
        return
    spans = stored_decisions.production(known.places, context.monitor.clock)
    places = sorted(spans["kind"].unique(), key=lambda place: (place != _FIRST, place))
    tab_parts.chart(
        "Where models were put",
        time_bars.bars(spans, places),
        "From when to when each model was in production, and when others were put elsewhere",
    )
    table = known.places.reverse().select(
        "horizon",
        "place",
        pl.col("version").fill_null(""),
        at=pl.col("created_at").map_elements(lambda at: in_zones(at, context), pl.String),
        model=pl.col("model_md5").str.head(8),
        commit=pl.col("commit").str.head(7),
        decision="decision_id",
    )
    st.dataframe(table, hide_index=True, alt="Where each model was put, the newest first")
