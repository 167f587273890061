"""What the server does just now, and how this machine is."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import plotly.graph_objects as go
import polars as pl
import streamlit as st

from dashboard.charts import metric_lines
from dashboard.empty_state import empty
from dashboard.number_text import share
from dashboard.page_context import Context, guarded
from dashboard.plain_text import plain
from dashboard.server_client import RefusedError, ServerAwayError
from dashboard.views.monitoring import tab_parts
from dashboard.watching import server_metrics
from dashboard.watching.server_metrics import Reading, Readings
from monitor.health import machine

_EVERY = 5.0


def show(context: Context) -> None:
    """Show rates between readings of the counters, while somebody looks."""
    if not context.viewer.may_act:
        empty(
            "The server shows its counters to keys with the role admin alone.",
            "Sign in with one; this makes one:",
            "python -m serve keys add NAME --role admin",
        )
        _machine(None)
        return
    st.fragment(lambda: guarded(_live, context), run_every=_EVERY, key="server counters")()


@st.cache_resource(max_entries=4)
def _readings(_: str) -> Readings:
    return Readings()


def _live(context: Context) -> None:
    readings = _readings(context.server.url)
    try:
        _read(context, readings)
    except ServerAwayError as error:
        empty(f"{error}.", "", "make serve")
        _machine(None)
        return
    except RefusedError as error:
        empty(
            f"The server refused its counters: {error}.",
            "Where it asks for keys, they need one with the role admin; this makes one:",
            "python -m serve keys add NAME --role admin",
        )
        _machine(None)
        return
    recent = list(readings.recent)
    _counts(recent[-1])
    _machine(recent[-1])
    if len(recent) < 2:  # noqa: PLR2004  # a rate needs two
        st.caption(f"Rates need two readings; the next is in {_EVERY:g} seconds.")
        return
    _charts(server_metrics.rates(recent))
    _routes(recent)


def _read(context: Context, readings: Readings) -> None:
    now = datetime.now(UTC)
    if not readings.is_due(now, _EVERY - 1):
        return
    page = context.server.text("/metrics")
    with readings.lock:
        if readings.is_due(now, _EVERY - 1):
            free_disk, disk = machine.disk(context.monitor.var)
            free_memory, memory = machine.memory()
            readings.recent.append(
                replace(
                    server_metrics.parse(page, now),
                    processor=machine.processor(),
                    memory=1 - free_memory / memory,
                    disk=1 - free_disk / disk,
                )
            )


def _counts(newest: Reading) -> None:
    total = newest.requests.total()
    failed = sum(count for (_, status), count in newest.requests.items() if status[0] == "5")
    with st.container(horizontal=True):
        st.metric("Requests since its start", f"{total:,}")
        st.metric("Answers 5xx", f"{failed:,}")
        st.metric("Rows waiting for the log", f"{newest.queue:,.0f}")


def _machine(newest: Reading | None) -> None:
    with st.container(horizontal=True):
        if newest is not None:
            st.metric("Processors in use", share(newest.processor, 0))
        for name, (free, total) in (
            ("Memory", machine.memory()),
            ("Disk", machine.disk(Path())),
        ):
            used, left = share(1 - free / total, 0), f"{free / 2**30:,.1f} GiB free"
            st.metric(f"{name} in use", used, left, delta_color="off", delta_arrow="off")
    st.caption("Processors, memory and disk are those of the machine where this dashboard runs.")


def _charts(rates: pl.DataFrame) -> None:
    st.caption(
        f"Read every {_EVERY:g} seconds while somebody looks at this tab, kept for an hour and for "
        "all viewers in the memory of the dashboard; Prometheus keeps them for longer."
    )
    tab_parts.chart(
        "Requests",
        _from_zero(
            metric_lines.lines(_long(rates, ("requests", "errors")), y="a second", form=".3~g")
        ),
        "Requests and errors a second",
        "Errors are answers 5xx; requests of /metrics itself are left out.",
    )
    tab_parts.chart(
        "Latency",
        _from_zero(
            metric_lines.lines(
                _long(rates.with_columns(pl.col("p50", "p95", "p99") * 1e3), ("p50", "p95", "p99")),
                y="milliseconds",
                form=".3~g",
            )
        ),
        "The median, the 95 % and the 99 % quantile of the duration of requests",
        "Quantiles of all requests between two readings, by interpolation within the buckets of "
        "the histogram.",
    )
    tab_parts.chart(
        "This machine",
        _from_zero(
            metric_lines.lines(
                _long(rates, ("processor", "memory", "disk")), y="share in use", form=".0%"
            )
        ),
        "Shares of processors, memory and disk in use",
    )


def _from_zero(figure: go.Figure) -> go.Figure:
    return figure.update_yaxes(rangemode="nonnegative")


def _long(rates: pl.DataFrame, names: tuple[str, ...]) -> pl.DataFrame:
    return rates.unpivot(names, index="at", variable_name="series", value_name="value")


def _routes(readings: list[Reading]) -> None:
    requests = server_metrics.grown(readings[0].requests, readings[-1].requests)
    rows = [
        {"route": route, "status": status, "requests": count}
        for (route, status), count in requests.most_common()
        if count
    ]
    since = f"Since {readings[0].at:%H:%M:%S} UTC"
    if not rows:
        st.caption(plain(f"{since} nothing was asked."))
        return
    st.caption(plain(f"{since}, by route and status:"))
    st.dataframe(pl.DataFrame(rows), hide_index=True, alt="Requests by route and status")
