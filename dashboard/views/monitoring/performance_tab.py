"""How good the live forecasts are, and how sure that is."""

from typing import Any

import polars as pl
import streamlit as st

from dashboard.charts import metric_lines, score_intervals
from dashboard.empty_state import empty
from dashboard.number_text import share
from dashboard.page_context import Context
from dashboard.plain_text import plain
from dashboard.show_chart import show_chart
from dashboard.status_mark import mark
from dashboard.views.monitoring import tab_parts
from dashboard.watching import documents
from monitor.performance import interval_tracker

_COMMAND = "python -m monitor performance"
_COVERAGES = {
    "performance_coverage": "own intervals",
    "tracked_coverage": "intervals of the tracker",
}
_LABELS = {"labels_due": "due", "labels_stored": "with a label"}


def show(context: Context) -> None:
    """Show the newest scores, then their history."""
    by_horizon = documents.by_horizon(context.monitor.folder / "performance")
    if not by_horizon:
        empty("Live forecasts were not scored yet.", "Score them:", _COMMAND)
        return
    horizon = tab_parts.horizon(list(by_horizon))
    newest = by_horizon[horizon]
    _verdict(newest)
    if newest["scores"]:
        _scores(newest)
    chosen = tab_parts.span()
    score = _score(list(newest["scores"]))
    names = (*_COVERAGES, *_LABELS, "label_coverage", "degradation_evidence", score)
    history = tab_parts.measured(context, names, chosen).filter(pl.col("horizon") == horizon)
    if history.is_empty():
        tab_parts.nothing_in(chosen, "Performance")
        return
    _over_time(history, newest, score)
    _intervals(context, history, horizon)
    _coverage(history)


def _verdict(newest: dict[str, Any]) -> None:
    if newest["problem"] is not None:
        st.markdown(f"{mark('unknown', 'not judged')} {plain(newest['problem'])}")
        return
    state = mark("critical", "degraded") if newest["degraded"] else mark("ok", "not degraded")
    st.markdown(f"{state} {plain(newest['verdict'])}")
    for remark in newest["remarks"]:
        st.caption(plain(remark))


def _scores(newest: dict[str, Any]) -> None:
    scores = {name: each for name, each in newest["scores"].items() if each["live"] is not None}
    rows = [
        {
            "score": name,
            "live": each["live"],
            "from": each["interval"] and each["interval"][0],
            "to": each["interval"] and each["interval"][1],
            "hold-out": each["held_out"],
            "yardstick": each["yardstick"],
        }
        for name, each in newest["scores"].items()
    ]
    st.caption(
        f"{newest['rows']:,} labelled forecasts of {newest['dates']:,} sessions, "
        f"{newest['first']} to {newest['last']}. The interval is a bootstrap of whole dates in "
        "blocks (95 %). Hold-out is the same model on its own hold-out, the yardstick a simple "
        "forecast on the same rows: historical mean, exponential average of volatility."
    )
    picture, table = st.tabs(["Picture", "Table"], key="scores", on_change="rerun")
    if picture.open:
        with picture:
            show_chart(
                score_intervals.intervals(scores),
                "Each live score with its interval, beside the hold-out and the yardstick",
                key="live scores",
                tools=True,
            )
    if table.open:
        names = ("live", "from", "to", "hold-out", "yardstick")
        table.dataframe(
            pl.DataFrame(rows, infer_schema_length=None),
            hide_index=True,
            alt="Each live score with its interval, beside the hold-out and the yardstick",
            column_config={n: st.column_config.NumberColumn(format="%.5f") for n in names},
        )


def _score(names: list[str]) -> str:
    """The metric of the score that is shown over time, in the URL."""
    names = names or ["crps"]
    place = names.index("crps") if "crps" in names else 0
    chosen = st.selectbox("Score over time", names, index=place, key="score", bind="query-params")
    return f"performance_{chosen}"


def _over_time(history: pl.DataFrame, newest: dict[str, Any], score: str) -> None:
    name = score.removeprefix("performance_")
    points = history.filter(pl.col("name") == score)
    held_out = newest["scores"].get(name, {}).get("held_out")
    tab_parts.chart(
        f"{name}, live",
        metric_lines.lines(
            points.with_columns(series=pl.lit("model ") + pl.col("model")),
            y=name,
            thresholds={} if held_out is None else {"hold-out of the newest": held_out},
        ),
        f"The live {name} over time, a line for each model",
        "Each point is the score of the newest sessions whose outcome was known at that time.",
    )
    evidence = history.filter(pl.col("name") == "degradation_evidence")
    tab_parts.chart(
        "Evidence that the model is degraded",
        metric_lines.lines(
            evidence.with_columns(series=pl.lit("model ") + pl.col("model")),
            y="evidence",
            thresholds={f"convinces at {newest['needed']:g}": newest["needed"]},
            logarithmic=True,
        ),
        "The evidence over time against the threshold from which on it convinces",
        f"An e-process: if the model is as good as it may be, it reaches {newest['needed']:g} with "
        f"a chance of {share(1 / newest['needed'], 0)} at most, however often one looks.",
    )


def _intervals(context: Context, history: pl.DataFrame, horizon: str) -> None:
    coverages = _named(history, _COVERAGES)
    tracked = (documents.document(context.monitor.folder / interval_tracker.FILE) or {}).get(
        horizon
    )
    now = (
        f" Up to {tracked['updated_to']} the model's own held {share(tracked['coverage_before'])}, "
        f"with the factors {tracked['factor_lower']:.3f} (lower side) and "
        f"{tracked['factor_upper']:.3f} (upper side) {share(tracked['coverage_after'])}."
        if tracked
        else ""
    )
    tab_parts.chart(
        "Coverage of the intervals",
        metric_lines.lines(coverages, y="share of the outcomes", form=".1%"),
        "Share of outcomes within the intervals over time, of the model's own and of the tracker",
        "The share of the outcomes of the newest sessions that an interval held." + now,
    )


def _coverage(history: pl.DataFrame) -> None:
    covered = history.filter(pl.col("name") == "label_coverage")
    tab_parts.chart(
        "Forecasts that are due and have a label",
        metric_lines.lines(
            covered.with_columns(series=pl.lit("share with a label")), y="share", form=".0%"
        ),
        "Share of the due forecasts that have a label, over time",
    )
    tab_parts.chart(
        "Forecasts that are due, and labels",
        metric_lines.lines(_named(history, _LABELS), y="forecasts", form=",.0f"),
        "Numbers of due forecasts and of those with a label, over time",
    )


def _named(history: pl.DataFrame, names: dict[str, str]) -> pl.DataFrame:
    """The metrics of some names, each a series called as `names` says."""
    return history.filter(pl.col("name").is_in(list(names))).with_columns(
        series=pl.col("name").replace(names)
    )
