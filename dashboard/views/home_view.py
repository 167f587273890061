"""Home: what is forecast, whether it may be trusted, and what to do if not."""

from collections.abc import Callable
from datetime import timedelta

import polars as pl
import streamlit as st

import monitor.settings
from dashboard.charts.interval_bars import interval_bars
from dashboard.empty_state import empty
from dashboard.newest_forecasts import newest_forecasts
from dashboard.overview import last_decision, production, statuses, stored_health
from dashboard.overview.statuses import Status
from dashboard.page_context import Context, guarded, in_zones
from dashboard.plain_text import plain
from dashboard.server_client import RefusedError, ServerAwayError
from dashboard.status_mark import mark
from stages.common.errors import StageError, few

COLUMNS = 3
"""Cards beside each other on a wide screen."""

DRAWN = 24
"""Symbols of a chart; the table has all."""

ROUNDS = 3
"""Rounds of checks that the monitor may miss before what it found is old."""


def show(context: Context) -> None:
    """Show the page."""
    st.title("Home")
    _live(_verdict, context)
    _forecasts(context)
    _live(_parts, context)


@st.fragment(run_every="10s")
def _live(part: Callable[[Context], None], context: Context) -> None:
    guarded(part, context)


def _verdict(context: Context) -> None:
    parts = _statuses(context)
    wrong = [part for part in parts if part.state in ("warning", "critical")]
    unknown = [part.name for part in parts if part.state == "unknown"]
    if wrong:
        sentence = f"Look at {few(part.name for part in wrong)}."
    elif unknown:
        sentence = f"Nothing is wrong; nothing is known of {few(unknown)}."
    else:
        sentence = "All is well."
    st.markdown(f"**{plain(sentence)}** " + " ".join(mark(each.state, each.name) for each in parts))
    _cards(wrong)
    decision = last_decision.read()
    if decision is not None:
        because = f"{decision.reason}, {decision.outcome}: {decision.because}"
        st.text(f"Last decision, {in_zones(decision.created_at, context)}: {because}.")
    _placed(context)


def _parts(context: Context) -> None:
    st.subheader("How each part is", anchor=False)
    _cards(_statuses(context))
    report = stored_health.read(context.monitor)
    looked = "The monitor has not looked yet."
    if report is not None:
        looked = f"The monitor last looked on {in_zones(report.at, context)}."
    st.caption(plain(looked))


def _statuses(context: Context) -> list[Status]:
    settings = context.monitor
    report = stored_health.read(settings)
    return statuses.statuses(_health(context), report, settings.clock, _most())


def _health(context: Context) -> "dict[str, object] | str":
    try:
        return dict(context.server.health())
    except (ServerAwayError, RefusedError) as error:
        return str(error)


def _most() -> timedelta:
    try:
        return ROUNDS * timedelta(minutes=monitor.settings.thresholds().schedule.check_minutes)
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


def _placed(context: Context) -> None:
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


def _forecasts(context: Context) -> None:
    try:
        version = context.server.get("/version")
        forecasts = newest_forecasts(context.server, version)
    except ServerAwayError as error:
        empty(str(error), "Its forecasts come back with it.", "make serve")
        return
    except RefusedError as error:
        empty(str(error), "", "make run && make serve")
        return
    st.caption(
        f"The server answers from {plain(version['revision'][:7])}, which knows sessions up to "
        f"{plain(version['as_of'])}. A bar holds the stated share of outcomes."
    )
    wanted = st.text_input(
        "Symbols", key="symbols", bind="query-params", placeholder="all; or a part of the name"
    )
    chosen = forecasts.filter(
        pl.col("symbol")
        .str.to_uppercase()
        .str.contains((wanted or "").strip().upper(), literal=True)
    )
    if chosen.is_empty():
        empty(f"No symbol has {wanted!r} in its name.")
        return
    horizons = chosen.partition_by("horizon", maintain_order=True)
    columns = (
        st.columns(len(horizons))
        if len(horizons) in (1, 2)
        else st.tabs([plain(rows["horizon"][0]) for rows in horizons])
    )
    for column, rows in zip(columns, horizons, strict=True):
        with column:
            _horizon(rows)


def _horizon(rows: pl.DataFrame) -> None:
    first = rows.row(0, named=True)
    sessions = "the next session" if first["sessions"] == 1 else f"{first['sessions']} sessions"
    st.subheader(f"{plain(first['horizon'])}: {sessions}", anchor=False)
    st.dataframe(
        rows.select(
            "symbol",
            (100 * pl.col("predicted_return")).alias("return"),
            _intervals(rows),
            (100 * pl.col("probability_of_rise")).alias("probability"),
            "predicted_close",
            "target_date",
            "as_of",
            pl.when("stale").then(pl.lit("stale")).otherwise(pl.lit("")).alias("state"),
        ),
        hide_index=True,
        column_config={
            "symbol": st.column_config.TextColumn("Symbol", pinned=True),
            "return": st.column_config.NumberColumn("Return %", format="%+.2f"),
            "interval": st.column_config.TextColumn(f"{first['level']:.0%} interval %"),
            "probability": st.column_config.ProgressColumn(
                "P(rise) %", format="%.1f", min_value=0, max_value=100
            ),
            "predicted_close": st.column_config.NumberColumn("Close", format="%.2f"),
            "target_date": "For",
            "as_of": "Bar of",
            "state": "State",
        },
        alt=f"Newest {first['horizon']} forecasts",
    )
    st.plotly_chart(
        interval_bars(rows.head(DRAWN)),
        key=f"bars-{first['horizon']}",
        config={"displayModeBar": False},
        alt=f"Forecast and interval of each symbol, {first['horizon']}",
    )
    if rows.height > DRAWN:
        st.caption(f"The chart has the first {DRAWN} of {rows.height}; narrow them by name.")


def _intervals(rows: pl.DataFrame) -> pl.Series:
    bounds = rows.select("lower_return", "upper_return").rows()
    texts = [f"{100 * lower:+.2f} .. {100 * upper:+.2f}" for lower, upper in bounds]
    return pl.Series("interval", texts)
