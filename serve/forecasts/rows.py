"""Forecasts of many rows in one request: bars of the revision, or the caller's own features."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from serve.checkout.bundle import Model
from serve.edge.problems import ProblemError
from serve.forecasts.forecaster import Forecaster, Row, check, come, finite, nearest
from serve.forecasts.prediction import Forecast, days_since_epoch
from serve.schemas import BatchRequest, BatchRow
from stages.common.errors import few

Given = TypeVar("Given")
Found = TypeVar("Found")

CUSTOM = "custom"
"""The symbol of features that come without one."""

SHOWN = 5
"""Mistakes that a problem names; the others are counted."""


def forecasts(forecaster: Forecaster, asked: BatchRequest, limit: int) -> list[Forecast]:
    """Forecast every row, with one call of the model.

    Args:
        forecaster: of the revision that answers.
        asked: which horizon, and the rows.
        limit: rows that a batch may have.

    Raises:
        ProblemError: 422, there are no rows or some are wrong, each named by its place from 0;
            413, there are too many; 404, an unknown horizon.
    """
    if not asked.rows:
        raise ProblemError(
            422, f"rows: the batch is empty; send 1 to {limit:,} rows", "empty-batch"
        )
    if len(asked.rows) > limit:
        raise too_many(f"{len(asked.rows):,}", limit)
    model = forecaster.model(asked.horizon)

    def checked(given: BatchRow) -> Row:
        row = _row(forecaster, model, given)
        check(model, row)
        return row

    return _each(finite, forecaster.many(model, _each(checked, asked.rows)))


def too_many(rows: str, limit: int) -> ProblemError:
    """The problem of a batch that has so many."""
    return ProblemError(
        413,
        f"rows: {rows} are too many, the limit is {limit:,} (SERVE_MAX_BATCH); "
        "send several batches, or an Arrow stream",
        "batch-too-large",
    )


def _each(function: Callable[[Given], Found], rows: Sequence[Given]) -> list[Found]:
    """What a function makes of each row.

    Raises:
        ProblemError: 422, some rows are wrong; the first are named.
    """
    found, mistakes = [], []
    for place, row in enumerate(rows):
        try:
            found.append(function(row))
        except ProblemError as problem:
            mistakes.append(f"rows.{place}: {problem.detail}")
    if mistakes:
        rest = len(mistakes) - SHOWN
        more = [f"and {rest} more rows"] if rest > 0 else []
        raise ProblemError(422, "; ".join(mistakes[:SHOWN] + more), "invalid-rows")
    return found


def _row(forecaster: Forecaster, model: Model, given: BatchRow) -> Row:
    if given.features is None:
        for name in ("scale", "last_close"):
            if getattr(given, name) is not None:
                raise ProblemError(422, f"{name} comes with features, and there are none")
        symbol = forecaster.symbol(given.symbol)
        return forecaster.kept(model, symbol, forecaster.row(symbol, given.as_of))
    features = _ordered(model, given.features)
    scale = given.features.get(model.card.scale) if given.scale is None else given.scale
    if scale is None:
        raise ProblemError(
            422, f"no scale; it is {model.card.scale}, which is no feature of this model"
        )
    return Row(
        symbol=given.symbol or CUSTOM,
        bar=None if given.as_of is None else days_since_epoch(come(given.as_of)),
        close=given.last_close,
        features=features,
        scale=float(_float32("scale", scale)),
        source="rows",
    )


def _ordered(
    model: Model, given: Mapping[str, float]
) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    """The features in the order of the card."""
    names = model.card.features
    for name in given:
        if name not in names and name != model.card.scale:
            raise ProblemError(
                422,
                f"the {model.name} model has no feature {name!r}{nearest(name, names)}; "
                "GET /model/info lists them",
            )
    missing = [name for name in names if name not in given]
    if missing:
        raise ProblemError(422, f"no value for {few(missing)}")
    return np.array([_float32(name, given[name]) for name in names], np.float32)


def _float32(name: str, value: float) -> np.float32:
    with np.errstate(over="ignore"):
        found = np.float32(value)
    if not np.isfinite(found):
        raise ProblemError(422, f"{name}: {value:g} is beyond what a float32 holds")
    return found
