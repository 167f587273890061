"""Ground truth: the outcomes of predictions, and the labels that were corrected."""

import math
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Connection, RowMapping, bindparam, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from predictions import queries
from predictions.schema import Row, former_labels, label_store, prediction_logs
from stages.common.errors import StageError


class LabelledError(StageError):
    """The prediction has a label already."""


class NoReturnError(StageError):
    """No return follows from the close of a label."""


class ObservedTooSoonError(StageError):
    """A label was observed before the bar that its prediction was made from."""


class UnlabelledError(StageError):
    """The prediction has no label to correct."""


def add(connection: Connection, label: Row) -> Row:
    """Store a label; returns its row.

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
    stored = _checked(label, prediction)
    if prediction["label_created_at"] is None:
        dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
        statement = dialect.insert(label_store).values(stored).on_conflict_do_nothing()
        if connection.execute(statement).rowcount:
            return stored
        # Another request was faster.
        prediction = queries.one(connection, label["prediction_id"])
    raise LabelledError(
        f"prediction {label['prediction_id']} has had a label since "
        f"{prediction['label_created_at'].isoformat()}: actual_return "
        f"{prediction['label_actual_return']}; a label is given once, and then corrected: send "
        "correction: true"
    )


def correct(connection: Connection, label: Row) -> Row:
    """Replace a label, and keep the former one; returns the new row.

    Args:
        label: as in `add`; the former is replaced at its `created_at`.

    Raises:
        UnlabelledError: the prediction has no label.
        UnknownPredictionError, NoReturnError, ObservedTooSoonError: as in `add`.
    """
    stored = _checked(label, queries.one(connection, label["prediction_id"]))
    its_own = label_store.c.prediction_id == label["prediction_id"]
    # Of two corrections at once, the second replaces the first.
    query = select(label_store).where(its_own).with_for_update()
    replaced = connection.execute(query).mappings().one_or_none()
    if replaced is None:
        raise UnlabelledError(
            f"prediction {label['prediction_id']} has no label to correct; leave correction out"
        )
    connection.execute(insert(former_labels).values(**replaced, replaced_at=label["created_at"]))
    connection.execute(update(label_store).where(its_own).values(stored))
    return stored


def add_many(connection: Connection, new: Sequence[Row]) -> list[str]:
    """Store labels with a return, in one statement; returns the ids of their predictions.

    A prediction that is gone or has a label is skipped.

    Args:
        connection: in a transaction.
        new: by column of `label_store`, without `observed_at`.
    """
    identifier, labelled = prediction_logs.c.id, label_store.c.prediction_id
    query = (
        select(identifier)
        .outerjoin(label_store)
        .where(identifier.in_([label["prediction_id"] for label in new]), labelled.is_(None))
        # So that no prediction is removed before its label is stored.
        .with_for_update(key_share=True, of=prediction_logs)
    )
    wanted = set(connection.scalars(query))
    rows = [label for label in new if label["prediction_id"] in wanted]
    if not rows:
        return []
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(label_store).on_conflict_do_nothing()
    return list(connection.scalars(statement.returning(labelled), rows))


def correct_many(connection: Connection, new: Sequence[Row]) -> list[str]:
    """Replace labels by the same client; returns the ids of the predictions that were corrected.

    A prediction that has no label, the same label, or one by another client is skipped. A label is
    always later than the one that it replaces, even if the clock has gone back.

    Args:
        connection: in a transaction.
        new: by column of `label_store`; one client for all.
    """
    by_id = {label["prediction_id"]: label for label in new}
    query = (
        select(label_store)
        .where(label_store.c.prediction_id.in_(by_id), label_store.c.client == new[0]["client"])
        .with_for_update()
    )
    replaced = [
        row
        for row in connection.execute(query).mappings()
        if row["actual_return"] != by_id[row["prediction_id"]]["actual_return"]
    ]
    if not replaced:
        return []
    rows = []
    for row in replaced:
        label = by_id[row["prediction_id"]]
        moment = max(label["created_at"], row["created_at"] + timedelta(microseconds=1))
        rows.append({**label, "created_at": moment})
    connection.execute(
        insert(former_labels),
        [
            {**old, "replaced_at": label["created_at"]}
            for old, label in zip(replaced, rows, strict=True)
        ],
    )
    its_own = label_store.c.prediction_id == bindparam("its_own")
    statement = update(label_store).where(its_own)
    connection.execute(statement, [{**row, "its_own": row["prediction_id"]} for row in rows])
    return [row["prediction_id"] for row in rows]


def former(connection: Connection, identifier: str) -> list[Row]:
    """The labels of a prediction that were corrected, the oldest first."""
    query = (
        select(former_labels)
        .where(former_labels.c.prediction_id == identifier)
        .order_by(former_labels.c.created_at)
    )
    rows = connection.execute(query).mappings()
    # SQLAlchemy's type for the names of columns is not one that JSON takes.
    return [{str(name): value for name, value in row.items()} for row in rows]


def _checked(label: Row, prediction: RowMapping) -> Row:
    """A label with its return."""
    observed, as_of = label["observed_at"], prediction["as_of"]
    # A day begins up to 14 hours earlier elsewhere than in UTC.
    if observed is not None and as_of is not None and observed.date() < as_of - timedelta(days=1):
        raise ObservedTooSoonError(
            f"observed_at {observed.isoformat()} is before {as_of}, the session of the bar that "
            "the prediction was made from"
        )
    return {**label, "actual_return": _return(label, prediction["last_close"])}


def of(prediction: RowMapping) -> Row | None:
    """The label of a prediction that `queries` gave, by column; None if it has none."""
    if prediction["label_created_at"] is None:
        return None
    return {name: prediction[key] for name, key in queries.LABEL.items()}


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
