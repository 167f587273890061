"""Ground truth: what came of a prediction, kept once."""

import math
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, RowMapping
from sqlalchemy.dialects import postgresql, sqlite

from predictions import queries
from predictions.schema import Row, label_store
from stages.common.errors import StageError


class LabelledError(StageError):
    """The prediction has a label already."""


class NoReturnError(StageError):
    """No return follows from the close of a label."""


class ObservedTooSoonError(StageError):
    """A label was observed before the bar that its prediction was made from."""


def add(connection: Connection, label: Row) -> Row:
    """Keep a label; returns the row that was stored.

    Args:
        label: by column of `label_store`. Without `actual_return`, the return follows from
            `actual_close` and the close that the prediction was made from.

    Raises:
        UnknownPredictionError: there is no such prediction.
        LabelledError: it has a label.
        NoReturnError: no return follows from the close.
        ObservedTooSoonError: it was observed before the bar that the prediction was made from.
    """
    prediction = queries.one(connection, label["prediction_id"])
    _check_observed(label["observed_at"], prediction["as_of"])
    if prediction["label_created_at"] is None:
        stored = {**label, "actual_return": _return(label, prediction["last_close"])}
        insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
        statement = insert(label_store).values(stored).on_conflict_do_nothing()
        if connection.execute(statement).rowcount:
            return stored
        # Another was faster.
        prediction = queries.one(connection, label["prediction_id"])
    raise LabelledError(
        f"prediction {label['prediction_id']} has had a label since "
        f"{prediction['label_created_at'].isoformat()}: actual_return "
        f"{prediction['label_actual_return']}; a label is given once"
    )


def of(prediction: RowMapping) -> Row | None:
    """The label of a prediction that `queries` gave, by column; None if it has none."""
    if prediction["label_created_at"] is None:
        return None
    return {name: prediction[key] for name, key in queries.LABEL.items()}


def _check_observed(observed: datetime | None, as_of: date | None) -> None:
    # A day begins up to 14 hours earlier elsewhere than in UTC.
    if observed is not None and as_of is not None and observed.date() < as_of - timedelta(days=1):
        raise ObservedTooSoonError(
            f"observed_at {observed.isoformat()} is before {as_of}, the session of the bar that "
            "the prediction was made from"
        )


def _return(label: Row, last_close: float | None) -> float:
    value: float | None = label["actual_return"]
    if value is not None:
        return value
    if last_close is None:
        raise NoReturnError(
            "actual_close: the log does not know the close that the prediction was made from; "
            "send actual_return"
        )
    value = label["actual_close"] / last_close - 1
    if not math.isfinite(value):
        raise NoReturnError(
            f"actual_close: {label['actual_close']} after a last_close of {last_close} is not a "
            "finite return; send actual_return"
        )
    return value
