"""Recent runs: how long each took, by stage, and what it printed."""

from functools import partial

import streamlit as st

from dashboard.charts.run_durations import run_durations
from dashboard.control import run_tables
from dashboard.empty_state import empty
from dashboard.error_line import error_line
from dashboard.page_context import Context, in_zones
from dashboard.plain_text import plain
from dashboard.show_chart import show_chart
from dashboard.views.log_download import log_download
from stages.common.paths import RUNS
from versions.repository import pipeline
from versions.runs import log_tail, run_record
from versions.runs.run_record import Run


def show(context: Context) -> None:
    """Show the panel."""
    every = run_record.listed()
    if not every:
        empty("No run is on record yet.", "The next one is, from here or a terminal.", "dvc repro")
        return
    zoned = partial(in_zones, context=context)
    families = list(dict.fromkeys(name.partition("@")[0] for name in pipeline.stage_names()))
    durations = run_tables.durations(every, families, context.exchange_zone)
    if durations.is_empty():
        st.text("No stage ran in any of these runs.")
    else:
        st.subheader("How long the newest runs took, by stage", anchor=False)
        show_chart(
            run_durations(durations),
            "A bar for each run, divided by stage; each run below has the same in a table",
        )
        st.caption(plain(f"A run is named by when it began, in {context.exchange_zone}."))
    st.dataframe(run_tables.runs(every, zoned), hide_index=True, alt="Runs, newest first")
    st.caption(
        "The newest 200 runs are kept. A stage that DVC restored from its cache, or that had not "
        "changed, takes no time and is not counted. The exit status of a run in a terminal is not "
        "known: its state is ended if none of its stages failed."
    )
    by_id = {run.id: run for run in every}
    chosen = st.selectbox(
        "Look at one",
        list(by_id),
        format_func=lambda name: f"{zoned(by_id[name].began)}, {by_id[name].title}",
        key="run",
        bind="query-params",
    )
    if chosen in by_id:
        _one(by_id[chosen], zoned)


def _one(run: Run, zoned: run_tables.Zoned) -> None:
    stopped = f"; {run.stopped_by} stopped it" if run.stopped_by else ""
    took = run_tables.took(run_tables.seconds(run))
    st.text(f"{run.title}: {run.state} after {took}; {run.who} began it{stopped}.")
    if run.error:
        error_line(run.error)
    if run.stages:
        st.dataframe(run_tables.ran(run.stages, zoned), hide_index=True, alt="Stages of this run")
    path = RUNS / run.id / run_record.LOG
    tail = log_tail.read(path)
    if not tail.size:
        return
    part = f"The last {len(tail.lines)} lines of " if tail.cut else ""
    st.text(f"{part}{path}, {tail.size:,} bytes:")
    st.code("\n".join(tail.lines), language=None, height=360, wrap_lines=True)
    log_download(path, f"{run.id}.log")
