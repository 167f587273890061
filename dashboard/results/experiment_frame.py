"""The table of experiments: a row each, its scores and the params that differ."""

from collections.abc import Sequence
from typing import Any, Final

import polars as pl

from versions.results.experiment_refs import Experiment
from versions.values import compact

NAME: Final = "experiment"
BASE: Final = "began from"
DATE: Final = "date"

FIRST: Final = ("fold_oos_r2", "oos_r2", "mae", "auc", "crps", "crps_skill")
"""The scores of a horizon that are shown at first; all others can be chosen."""


def frame(experiments: Sequence[Experiment]) -> pl.DataFrame:
    """The experiments, the best fold R2 of the first horizon first.

    Returns:
        `experiment`, a column `<horizon> <score>` for each score, each param that differs, as text,
        then `began from` and `date`.
    """
    horizons = dict.fromkeys(name for each in experiments for name in each.scores)
    scores = {
        f"{horizon} {name}": [
            _number(each.scores.get(horizon, {}).get(name)) for each in experiments
        ]
        for horizon in horizons
        for name in dict.fromkeys(
            key for each in experiments for key in each.scores.get(horizon, {})
        )
    }
    columns: dict[str, pl.Series] = {
        NAME: pl.Series([each.revision.name for each in experiments], dtype=pl.String),
        **{name: pl.Series(values, dtype=pl.Float64) for name, values in scores.items()},
        **varied(experiments),
        BASE: pl.Series([each.revision.base[:10] for each in experiments], dtype=pl.String),
        DATE: pl.Series([each.revision.date[:10] for each in experiments], dtype=pl.String),
    }
    table = pl.DataFrame(columns)
    first = [f"{horizon} {FIRST[0]}" for horizon in horizons if f"{horizon} {FIRST[0]}" in scores]
    return table.sort(
        [*first[:1], NAME], descending=[True] * len(first[:1]) + [False], nulls_last=True
    )


def varied(experiments: Sequence[Experiment]) -> dict[str, pl.Series]:
    """The params that are not the same in all experiments; numbers stay numbers, to be sorted."""
    keys = dict.fromkeys(key for each in experiments for key in each.params)
    columns = {}
    for key in keys:
        values = [each.params.get(key) for each in experiments]
        if any(value != values[0] for value in values):
            columns[key] = _series(values)
    return columns


def _series(values: Sequence[Any]) -> pl.Series:
    known = [value for value in values if value is not None]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
        return pl.Series(values, dtype=pl.Float64, strict=False)
    return pl.Series(
        [None if value is None else compact(value) for value in values], dtype=pl.String
    )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def filtered(table: pl.DataFrame, text: str) -> pl.DataFrame:
    """The rows in which every word of a text occurs, in any column and any case."""
    for word in text.lower().split():
        cells = pl.concat_str(pl.all().cast(pl.String), separator=" ", ignore_nulls=True)
        table = table.filter(cells.str.to_lowercase().str.contains(word, literal=True))
    return table


def shown_at_first(table: pl.DataFrame, horizon: str) -> list[str]:
    """The columns that are shown before anyone has chosen others: those of one horizon."""
    scores = [name for key in FIRST if (name := f"{horizon} {key}") in table.columns]
    params = [name for name in table.columns if " " not in name and name not in {NAME, DATE}]
    return [NAME, *scores, *params[:6], BASE, DATE]
