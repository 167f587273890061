"""What runs now: its stage, its log, and how to stop it; read every second."""

from datetime import UTC, datetime

import streamlit as st

from dashboard import sign_in
from dashboard.control import run_process, run_tables
from dashboard.error_line import error_line
from dashboard.page_context import Context, guarded, in_zones
from dashboard.plain_text import plain
from stages.common.paths import RUNS
from versions.runs import log_tail, run_record
from versions.runs.run_record import Run

LINES = 12
"""Of the log."""

BUSY, IDLE = "1s", "3s"
"""How often to look."""


def show(context: Context) -> Run | None:
    """Show the panel; returns the run that goes on."""
    run = run_process.current()
    drawn = _mark(run)
    newest = None if run else next(iter(run_record.listed()), None)

    def look() -> None:
        now = run_process.current()
        if _mark(now) != drawn:
            # The rest of the page shows what a stage has changed.
            st.rerun()
        guarded(lambda _: _running(now, context) if now else _last(newest, context), context)

    st.fragment(look, run_every=BUSY if run else IDLE, key="live")()
    return run


def _mark(run: Run | None) -> tuple[object, ...]:
    """What the page shows of a run, beside its time and its log."""
    begun = RUNS.stat().st_mtime_ns if RUNS.exists() else 0
    return (begun, run.id, run.stopped_by, run.stages) if run else (begun,)


def _running(run: Run, context: Context) -> None:
    with st.container(border=True):
        where = " in a terminal" if run.source == "terminal" else ""
        st.markdown(f"**▶ {plain(run.title)}**")
        elapsed = (datetime.now(UTC) - run.began).total_seconds()
        st.text(
            f"{run.who} runs it{where} since {in_zones(run.began, context)}: "
            f"{run_tables.took(elapsed)} so far."
        )
        st.text(_progress(run))
        if run.source == "terminal":
            st.text("Its output is in that terminal, and Ctrl-C there stops it.")
            return
        tail = log_tail.read(RUNS / run.id / run_record.LOG, LINES)
        st.code("\n".join(tail.lines) or "no output yet", language=None, wrap_lines=True)
        _stop(run, context)


def _progress(run: Run) -> str:
    ended = [stage for stage in run.stages if stage.seconds is not None]
    going = [stage for stage in run.stages if stage.seconds is None]
    now = datetime.now(UTC)
    parts = [f"Stages that have ended: {len(ended)}"] + [
        f"{stage.name} runs for {run_tables.took((now - stage.began).total_seconds())}"
        for stage in going
    ]
    return "; ".join(parts) + "."


def _stop(run: Run, context: Context) -> None:
    if run.stopped_by:
        st.text(f"{run.stopped_by} has stopped it; it ends in order, or is killed after 30 s.")
        return
    if not context.viewer.may_act:
        return
    with st.popover("Stop", icon=":material/stop_circle:"):
        st.text(
            "The stage that runs loses its work. Stages that have ended keep theirs: the next run "
            "goes on from there."
        )
        if st.button("Stop this run", type="primary", key=f"stop:{run.id}"):
            sign_in.check(context.viewer, acts=True)
            run_process.stop(run.id, context.viewer.name, context.monitor)
            st.rerun()


def _last(newest: Run | None, context: Context) -> None:
    if newest is None:
        st.text("Nothing runs, and no run is on record yet.")
        return
    ended = f" at {in_zones(newest.ended, context)}" if newest.ended else ""
    st.text(
        f"Nothing runs. The last run, {newest.title}, {newest.state}{ended}, after "
        f"{run_tables.took(run_tables.seconds(newest))}; {newest.who} began it."
    )
    if newest.error:
        error_line(newest.error)
