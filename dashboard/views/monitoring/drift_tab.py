"""Drift of each feature over time, and both distributions of one of them."""

from pathlib import Path
from typing import Any

import polars as pl
import streamlit as st

from dashboard.charts import drift_charts, metric_lines
from dashboard.empty_state import empty
from dashboard.number_text import share
from dashboard.page_context import Context
from dashboard.plain_text import plain
from dashboard.status_mark import mark
from dashboard.views.monitoring import tab_parts
from dashboard.watching import documents, feature_drift, monitor_thresholds
from monitor.drift.drift_check import DRIFT

_COMMAND = "python -m monitor drift"


def show(context: Context) -> None:
    """Show the newest comparison, then its history."""
    by_horizon = documents.by_horizon(context.monitor.folder / DRIFT)
    if not by_horizon:
        empty("Forecasts were never compared with the training table.", "Compare them:", _COMMAND)
        return
    horizon = tab_parts.horizon(list(by_horizon))
    newest = by_horizon[horizon]
    _verdict(newest)
    if newest["comparison"] is not None:
        _features(newest["comparison"]["features"], newest["comparison"]["level"])
    _report(context.monitor.folder / DRIFT / f"{horizon}.html", horizon)
    _history(context, horizon)


def _verdict(newest: dict[str, Any]) -> None:
    if newest["problem"] is not None:
        st.markdown(f"{mark('unknown', 'not compared')} {plain(newest['problem'])}")
    if newest["comparison"] is None:
        return
    state = mark("warning", "drift") if newest["alarm"] else mark("ok", "no drift")
    window = f"{newest['rows']:,} forecasts from {newest['first']} to {newest['last']}"
    st.markdown(
        f"{state} {plain(window)}; at most {share(newest['p'])} of windows without drift differ as "
        f"much from the training table. {len(newest['drifted'])} of "
        f"{len(newest['comparison']['features'])} features drifted"
        + (f": {plain(', '.join(newest['drifted']))}" if newest["drifted"] else "")
    )


def _features(features: list[dict[str, Any]], level: float) -> None:
    table = feature_drift.table(features)
    number, chance = (st.column_config.NumberColumn(format=form) for form in ("%.3f", "%.2g"))
    st.dataframe(
        table,
        hide_index=True,
        placeholder="-",
        alt="Drift of every feature, the rarest first",
        column_config={
            **dict.fromkeys(("distance", "relation", "mean"), number),
            **dict.fromkeys(("p", "relation p", "mean p"), chance),
            "missing": st.column_config.NumberColumn(format="percent"),
        },
    )
    st.caption(
        "Distance is the Kolmogorov-Smirnov distance between window and training table. Relation "
        "is the same for what the other features do not explain. Mean is how far the mean is from "
        "what the means of the others explain; beyond 1 it is drift. Each p is the chance of such "
        "a value in a window without drift. After correction for many features the level of the "
        f"first two is {level:.2g}."
    )
    names = table["feature"].to_list()
    chosen = st.selectbox("Feature", names, key="feature", bind="query-params")
    histogram = next(each for each in features if each["name"] == chosen).get("histogram")
    if histogram is None:
        empty(
            f"The newest comparison kept no distribution of {chosen}.",
            "Too few values are known, or a former revision made it. Compare again:",
            _COMMAND,
        )
        return
    tab_parts.chart(
        "Training table and window",
        drift_charts.distributions(histogram, str(chosen)),
        f"Shares of the rows by value of {chosen}, in the training table and in the window",
        "Shares of the rows by value; what lies beyond the ends is counted in the outer bins.",
    )


def _report(path: Path, horizon: str) -> None:
    if path.exists():
        st.download_button(
            "Report of Evidently",
            path.read_bytes,
            file_name=f"drift-{horizon}.html",
            mime="application/octet-stream",
            icon=":material/download:",
            on_click="ignore",
        )
    else:
        st.caption("Evidently's report was not made; `python -m monitor drift` makes it.")


def _history(context: Context, horizon: str) -> None:
    chosen = tab_parts.span()
    history = tab_parts.measured(
        context, ("drift_p", "drift_share", "drift_features"), chosen
    ).filter(pl.col("horizon") == horizon)
    if history.is_empty():
        tab_parts.nothing_in(chosen, "Drift")
        return
    limits = monitor_thresholds.thresholds().alerts
    tab_parts.chart(
        "Share of features that drifted",
        metric_lines.lines(
            history.filter(pl.col("name") == "drift_share").with_columns(series=pl.lit("share")),
            y="share of the features",
            form=".0%",
            thresholds={
                f"alert above {share(limits.max_drifted_share, 0)}": limits.max_drifted_share
            },
        ),
        "Share of the features that drifted, over time",
    )
    features = history.filter(pl.col("name") == "drift_p")
    if not features.is_empty():
        tab_parts.chart(
            "Each feature over time",
            drift_charts.rarity(features),
            "The chance of each feature's window without drift, at each comparison",
            "p is the chance of such a window without drift, by its values, by its relation to the "
            "others or by its mean, whichever is rarest; below 1 % it is written. A window that is "
            "looked at again is not counted again.",
        )
