"""Two revisions side by side: params that differ, and scores with their differences."""

from collections.abc import Mapping
from typing import Any, Final

import polars as pl

from dashboard.results.horizon_metrics import HorizonMetrics
from dashboard.results.metric_meanings import MEANING, SUMMARY
from monitor.retraining.hold_out_pair import HoldOutPair
from versions.results.formats import FOLDS, Column, change, number
from versions.values import compact, flat

PAIRED: Final = {
    "crps": Column("crps", "CRPS %", "%.4f", "low"),
    "squared_error": Column("squared_error", "squared error", ".7f", "low"),
    "interval_score": Column("interval_score", "score %", "%.3f", "low"),
    "brier": Column("brier", "Brier", ".5f", "low"),
    "auc": Column("auc", "AUC", ".4f", "high"),
    "coverage": Column("coverage", "cover %", "%.2f"),
}
"""The scores of a pair on the same rows."""

DIFFERENCE: Final = "b less a"
BETTER: Final = "better"


def params(one: Mapping[str, Any], other: Mapping[str, Any]) -> pl.DataFrame:
    """The params that differ: `param, a, b`, as text; `-` where there is none."""
    sides = [
        {key: compact(value) for key, value in flat(each).items() if not key.startswith("search.")}
        for each in (one, other)
    ]
    keys = dict.fromkeys([*sides[0], *sides[1]])
    rows = [(key, *(side.get(key, "-") for side in sides)) for key in keys]
    differ = [row for row in rows if row[1] != row[2]]
    return pl.DataFrame(differ, schema=dict.fromkeys(("param", "a", "b"), pl.String), orient="row")


def scores(one: HorizonMetrics, other: HorizonMetrics) -> pl.DataFrame:
    """The scores of both served forecasts: `score, a, b, b less a, better, meaning`, as text.

    Which is better says nothing of chance, nor do the numbers where the rows are not the same.
    """
    rows = []
    for column in SUMMARY:
        before, after = (each.summary.get(column.name) for each in (one, other))
        if before is None and after is None:
            continue
        ahead = ""
        if before is not None and after is not None and before != after and column.better:
            ahead = _better(column, after - before)
        rows.append(
            {
                **_numbers(column, before, after),
                BETTER: ahead,
                "meaning": MEANING[column.name],
            }
        )
    names = ("score", "a", "b", DIFFERENCE, BETTER, "meaning")
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String))


def fold_verdict(one: HorizonMetrics, other: HorizonMetrics) -> str:
    """Which is ahead on the folds, in one line."""
    before, after = (each.summary.get(FOLDS.name) for each in (one, other))
    if before is None or after is None:
        return "The folds do not tell: one of the revisions has no fold_oos_r2."
    numbers = f"a {number(before, '+.5f')}, b {number(after, '+.5f')}"
    if before == after:
        return f"On the folds both are the same (R2 of {numbers})."
    return f"On the folds {_better(FOLDS, after - before)} is ahead (R2 of {numbers})."


def pair_verdict(pair: HoldOutPair) -> str:
    """Whether one is better on the same rows of the hold-out, in one line, by the primary score."""
    name, difference = next(iter(pair.differences.items()))
    column = PAIRED[name]
    words = verdict(column, difference.value, difference.low, difference.high)
    return f"On the {pair.rows:,} rows of the hold-out that both have, by {column.title}: {words}."


def same_rows(pair: HoldOutPair) -> pl.DataFrame:
    """The scores on the rows that both have, and whether a difference is more than chance.

    Returns:
        `score, a, b, b less a, 95 % from, to, verdict`, as text.
    """
    rows = []
    for name, difference in pair.differences.items():
        column = PAIRED[name]
        rows.append(
            {
                **_numbers(column, difference.champion, difference.challenger),
                "from": change(0.0, difference.low, column.format),
                "to": change(0.0, difference.high, column.format),
                "verdict": verdict(column, difference.value, difference.low, difference.high),
            }
        )
    names = ("score", "a", "b", DIFFERENCE, "from", "to", "verdict")
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String))


def verdict(column: Column, value: float | None, low: float | None, high: float | None) -> str:
    """What a difference of two revisions says, by its bounds."""
    if value is None:
        return "not defined"
    if low is None or high is None:
        return "too few rows to tell"
    if low == high == 0:
        return "the same"
    if low <= 0 <= high:
        return "no more than chance"
    if not column.better:
        return f"{'higher' if value > 0 else 'lower'} in b, more than chance"
    return f"{_better(column, value)} is better, more than chance"


def _better(column: Column, difference: float) -> str:
    return "b" if (difference > 0) == (column.better == "high") else "a"


def _numbers(column: Column, before: float | None, after: float | None) -> dict[str, str]:
    return {
        "score": column.title,
        "a": number(before, column.format),
        "b": number(after, column.format),
        DIFFERENCE: change(before, after, column.format),
    }


def overlaid(
    one: HorizonMetrics, other: HorizonMetrics, name: str, names: tuple[str, str]
) -> pl.DataFrame:
    """A table of both revisions, with the column `revision`; empty if neither has it."""
    parts = [
        each.table(name).with_columns(revision=pl.lit(label))
        for each, label in zip((one, other), names, strict=True)
        if not each.table(name).is_empty()
    ]
    return pl.concat(parts, how="diagonal") if parts else pl.DataFrame()
