"""Every feature of a comparison with the training table, the rarest first."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import polars as pl

from stages.common import tables

SCHEMA: Final[tables.Contract] = {
    "feature": pl.String,
    "state": pl.String,
    "distance": pl.Float64,
    "p": pl.Float64,
    "relation": pl.Float64,
    "relation p": pl.Float64,
    "mean": pl.Float64,
    "mean p": pl.Float64,
    "missing": pl.Float64,
}
"""The three ways in which a feature can drift, each with the chance of such a value without drift:
its values, its relation to the other features, and its mean beside what theirs explain."""


def table(features: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """A row a feature, those that drifted first, then by the smallest chance; see `SCHEMA`.

    Args:
        features: of the document of drift; one of a former revision may lack the mean.
    """
    rows = [
        (
            each["name"],
            "! drifted" if each["drifted"] else "✓ ok",
            each["distance"],
            each["p"],
            each["relation"],
            each["relation_p"],
            each.get("level"),
            each.get("level_p"),
            each["missing"],
        )
        for each in features
    ]
    return pl.DataFrame(rows, schema=dict(SCHEMA), orient="row").sort(
        "state", pl.min_horizontal("p", "relation p", "mean p"), maintain_order=True
    )
