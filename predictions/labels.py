"""Ground truth: what came of a prediction, kept once."""

import math
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, RowMapping
from sqlalchemy.dialects import postgresql, sqlite

from predictions import queries
from predictions.schema import Row, label_store
from stages.common.errors import StageError


class LabelledError(StageError):
    """The prediction has a label already."""


class NoReturnError(StageError):
    """No return follows from the close of a label."""


@dataclass(frozen=True)
class Label:
    """What came of a prediction, as its sender says.

    Attributes:
        prediction_id: of the prediction.
        actual_return: over its horizon, as a fraction; None if it follows from the close.
        actual_close: of its target session, as traded; None if only the return is known.
        observed_at: when that was known, in UTC; None if the sender does not say.
        client: name of the sender's key; None without keys.
    """

    prediction_id: str
    actual_return: float | None
    actual_close: float | None
    observed_at: datetime | None
    client: str | None


def add(connection: Connection, label: Label, created_at: datetime) -> Row:
    """Keep a label; returns the row that was stored.

    Raises:
        UnknownPredictionError: there is no such prediction.
        LabelledError: it has a label.
        NoReturnError: no return follows from the close.
    """
    prediction = queries.one(connection, label.prediction_id)
    if prediction["label_created_at"] is None:
        stored = {
            "prediction_id": label.prediction_id,
            "actual_return": _return(label, prediction["last_close"]),
            "actual_close": label.actual_close,
            "observed_at": label.observed_at,
            "created_at": created_at,
            "client": label.client,
        }
        insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
        statement = insert(label_store).values(stored).on_conflict_do_nothing()
        if connection.execute(statement).rowcount:
            return stored
        # Another was faster.
        prediction = queries.one(connection, label.prediction_id)
    raise LabelledError(
        f"prediction {label.prediction_id} has had a label since "
        f"{prediction['label_created_at'].isoformat()}: actual_return "
        f"{prediction['label_actual_return']}; a label is given once"
    )


def of(prediction: RowMapping) -> Row | None:
    """The label of a prediction that `queries` gave, by column; None if it has none."""
    if prediction["label_created_at"] is None:
        return None
    return {name: prediction[key] for name, key in queries.LABEL.items()}


def _return(label: Label, last_close: float | None) -> float:
    if label.actual_return is not None:
        return label.actual_return
    if last_close is None or label.actual_close is None:
        raise NoReturnError(
            "actual_close: the log does not know the close that the prediction was made from; "
            "send actual_return"
        )
    value = label.actual_close / last_close - 1
    if not math.isfinite(value):
        raise NoReturnError(
            f"actual_close: {label.actual_close} after a last_close of {last_close} is not a "
            "finite return; send actual_return"
        )
    return value
