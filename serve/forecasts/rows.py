"""Forecasts of many rows in one request: bars of the revision, or the caller's own features."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from serve.checkout.bundle import Model
from serve.forecasts.forecast_errors import ForecastError, InvalidInputError, TooManyRowsError
from serve.forecasts.forecaster import LONGEST, Forecaster, Row, check, finite, not_future
from serve.forecasts.prediction import Forecast, days_since_epoch
from serve.request_schemas import BatchRequest, BatchRow
from stages.common.errors import few
from stages.common.text import nearest

In = TypeVar("In")
Out = TypeVar("Out")

CUSTOM = "custom"
"""The symbol of features that come without one."""

SHOWN = 5
"""Mistakes that an error names; the others are counted."""


def forecasts(forecaster: Forecaster, request: BatchRequest, limit: int) -> list[Forecast]:
    """Forecast every row, with one call of the model.

    Args:
        forecaster: of the revision that answers.
        limit: rows that a batch may have.

    Raises:
        InvalidInputError: there are no rows, or some are wrong, each named by its place from 0.
        TooManyRowsError: there are more than the limit.
        UnknownNameError: there is no such horizon.
    """
    if not request.rows:
        raise InvalidInputError(
            f"rows: the batch is empty; send 1 to {limit:,} rows", "empty-batch"
        )
    if len(request.rows) > limit:
        raise TooManyRowsError(f"{len(request.rows):,}", limit)
    model = forecaster.model(request.horizon)

    def checked(batch_row: BatchRow) -> Row:
        row = _row(forecaster, model, batch_row)
        check(model, row)
        return row

    return _each(finite, forecaster.many(model, _each(checked, request.rows)))


def _each(function: Callable[[In], Out], rows: Sequence[In]) -> list[Out]:
    """Apply a function to each row.

    Raises:
        InvalidInputError: some rows are wrong; the message names the first.
    """
    results, mistakes = [], []
    for place, row in enumerate(rows):
        try:
            results.append(function(row))
        except ForecastError as error:
            mistakes.append(f"rows.{place}: {error}")
    if mistakes:
        rest = len(mistakes) - SHOWN
        more = [f"and {rest} more rows"] if rest > 0 else []
        raise InvalidInputError("; ".join(mistakes[:SHOWN] + more), "invalid-rows")
    return results


def _row(forecaster: Forecaster, model: Model, batch_row: BatchRow) -> Row:
    if batch_row.features is None:
        if batch_row.last_close is not None:
            raise InvalidInputError("last_close comes with features, and there are none")
        return forecaster.row(model, forecaster.symbol(batch_row.symbol), batch_row.as_of)
    _check_names(model, batch_row.features)
    names = model.card.features
    return Row(
        symbol=batch_row.symbol or CUSTOM,
        bar=None if batch_row.as_of is None else days_since_epoch(not_future(batch_row.as_of)),
        close=batch_row.last_close,
        features=_float32(names, [batch_row.features[name] for name in names]),
        source="rows",
    )


def _check_names(model: Model, features: Mapping[str, float]) -> None:
    names = model.card.features
    for name in features:
        if name not in names:
            raise InvalidInputError(
                f"the {model.name} model has no feature {name!r}{nearest(name[:LONGEST], names)}; "
                "GET /model/info lists them"
            )
    missing = [name for name in names if name not in features]
    if missing:
        raise InvalidInputError(f"no value for {few(missing)}")


def _float32(names: Sequence[str], values: Sequence[float]) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore"):
        row = np.array(values).astype(np.float32)
    for name, value, fits in zip(names, values, np.isfinite(row), strict=True):
        if not fits:
            raise InvalidInputError(f"{name}: {value:g} is beyond what a float32 holds")
    return row
