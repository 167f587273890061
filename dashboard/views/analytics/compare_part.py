"""Analytics, the part that compares any two revisions or experiments."""

import shlex
from collections.abc import Sequence

import polars as pl
import streamlit as st

from dashboard.charts import distribution_charts, result_charts
from dashboard.charts.metric_plots import PLOTS
from dashboard.empty_state import empty
from dashboard.plain_text import plain
from dashboard.results import readings, revision_comparison
from dashboard.results.horizon_metrics import HorizonMetrics
from dashboard.views.analytics.evaluation_parts import chart
from monitor.retraining.hold_out_pair import HoldOutPair
from stages.common.errors import StageError, VersionError
from versions.results import known_revisions
from versions.results.known_revisions import WORKSPACE, Revision
from versions.results.score_verdicts import SERVED

CHOOSE = (
    "Choose by fold R2, never by the hold-out: whoever chooses by the hold-out fits it. The best "
    "of many experiments always looks better than it is."
)


def show(results: HorizonMetrics, horizon: str) -> None:
    """Choose two revisions, and show what differs."""
    del results
    try:
        known = readings.listed()
    except VersionError as error:
        empty(
            f"Revisions cannot be compared: {error}.",
            "Open the dashboard in a clone of the project.",
        )
        return
    names = _chosen(known)
    try:
        commits = [known_revisions.commit_of(name, known) for name in names]
        sides = [readings.metrics(commit, horizon) for commit in commits]
    except StageError as error:
        empty(f"{error}")
        return
    for name, side in zip(names, sides, strict=True):
        if side.empty:
            checkout = "" if name == WORKSPACE else f"git checkout {shlex.quote(name)} && "
            empty(
                f"{name} has no metrics of {horizon}: nothing was evaluated there.",
                "Choose another revision, or check it out, reproduce and commit:",
                f"{checkout}dvc repro",
            )
    if any(side.empty for side in sides):
        return
    _compared(sides, commits, names, horizon)


def _compared(
    sides: Sequence[HorizonMetrics], commits: Sequence[str], names: tuple[str, str], horizon: str
) -> None:
    one, other = sides
    pair: HoldOutPair | None = None
    reason = "The scores are of different rows: the hold-outs have no row in common."
    try:
        pair = readings.pair(commits[0], commits[1], horizon)
    except StageError as error:
        reason = f"{error}."
    st.text(revision_comparison.fold_verdict(one, other))
    if pair is not None and pair.rows:
        st.text(revision_comparison.pair_verdict(pair))
    st.caption(CHOOSE)
    _params(one, other)
    _scores(one, other, pair)
    _same_rows(pair, reason)
    _plots(one, other, (f"a: {names[0]}", f"b: {names[1]}"))


def _chosen(known: list[Revision]) -> tuple[str, str]:
    names = list(dict.fromkeys(revision.name for revision in known))
    labels = {revision.name: _label(revision) for revision in reversed(known)}
    defaults = {"a": names.index(_former(known)), "b": names.index(WORKSPACE)}
    chosen = []
    for key, column in zip(("a", "b"), st.columns(2), strict=True):
        chosen.append(
            column.selectbox(
                f"Revision {key}",
                names,
                index=defaults[key],
                format_func=lambda name: labels.get(name, name),
                key=key,
                bind="query-params",
                accept_new_options=True,
                help="A branch, a tag, an experiment, a commit, or the workspace; any other hash "
                "can be typed.",
            )
            or names[defaults[key]]
        )
    return chosen[0], chosen[1]


def _former(known: list[Revision]) -> str:
    """The last commit but one that changed results, for the workspace to be compared with."""
    commits = [revision.name for revision in known if revision.kind == "commit"]
    return commits[1] if len(commits) > 1 else commits[0] if commits else WORKSPACE


def _label(revision: Revision) -> str:
    if revision.kind == "workspace":
        return "workspace: the files as they are now"
    subject = "" if revision.kind == "experiment" else f" · {revision.subject[:60]}"
    return f"{revision.name} · {revision.kind} of {revision.date[:10]}{subject}"


def _params(one: HorizonMetrics, other: HorizonMetrics) -> None:
    st.subheader("Params that differ", anchor=False)
    table = revision_comparison.params(one.params, other.params)
    if table.is_empty():
        empty("No param differs: what differs comes from the data or the code.")
    else:
        st.dataframe(table, hide_index=True, height="content", alt="Params that differ")


def _scores(one: HorizonMetrics, other: HorizonMetrics, pair: HoldOutPair | None) -> None:
    st.subheader("Scores of the served forecasts", anchor=False)
    _table(revision_comparison.scores(one, other), "Scores of a and b")
    if pair is not None and pair.own != (pair.rows, pair.rows):
        st.caption(
            "These scores are of different rows, because the hold-outs differ. Compare those of "
            "the same rows, below."
        )


def _table(table: pl.DataFrame, alt: str) -> None:
    """Scores as text, aligned like numbers."""
    st.dataframe(
        table,
        hide_index=True,
        column_config={
            name: st.column_config.TextColumn(alignment="right")
            for name in table.columns
            if name not in {"score", revision_comparison.BETTER, "meaning", "verdict"}
        },
        height="content",
        alt=alt,
    )


def _same_rows(pair: HoldOutPair | None, reason: str) -> None:
    st.subheader("On the same rows of the hold-out: more than chance?", anchor=False)
    if pair is None or not pair.rows:
        empty(f"Not known. {reason}")
        return
    _table(revision_comparison.same_rows(pair), "Scores on the same rows")
    restated = f" {pair.restated:,} more have another outcome now and are left out." * bool(
        pair.restated
    )
    st.caption(
        plain(
            f"{pair.rows:,} rows from {pair.first} to {pair.last} that both hold-outs have, of "
            f"{pair.own[0]:,} and {pair.own[1]:,}.{restated} From and to: 95 % bounds of b less a, "
            "by a jackknife over spans of sessions, because symbols of one day move together and "
            "targets overlap. Of twenty differences that are chance, one looks like more."
        )
    )


def _plots(one: HorizonMetrics, other: HorizonMetrics, names: tuple[str, str]) -> None:
    def rows(name: str) -> pl.DataFrame:
        return revision_comparison.overlaid(one, other, name, names)

    left, right = st.columns(2)
    with left:
        folds = rows("folds")
        if not folds.is_empty():
            served = folds.filter(pl.col("model") == SERVED)
            chart(PLOTS["folds"].title, result_charts.folds(served), "Of the served forecasts.")
    with right:
        calibration = rows("calibration")
        if not calibration.is_empty():
            chart(PLOTS["calibration"].title, distribution_charts.calibration(calibration))
    equity = rows("equity")
    if equity.is_empty():
        return
    portfolios = equity["portfolio"].unique(maintain_order=True).to_list()
    name = st.selectbox("Portfolio", portfolios, key="portfolio", bind="query-params")
    own = equity.filter(pl.col("portfolio") == name)
    chart(
        PLOTS["equity"].title,
        result_charts.curves(own, "equity"),
        "Each begins at 1 where its hold-out begins.",
    )
