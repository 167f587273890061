"""Removing old predictions, with their labels."""

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Engine, delete, func, select

from predictions.schema import first_id, label_store, prediction_logs

CHUNK = 2_000
"""Predictions of one transaction, for which writers have to wait."""


def count(engine: Engine, before: datetime) -> tuple[int, int]:
    """How many predictions were made before a moment, and how many of them have a label."""
    with engine.connect() as connection:
        return (
            connection.scalar(select(func.count()).where(_old(prediction_logs.c.id, before))) or 0,
            connection.scalar(select(func.count()).where(_old(label_store.c.prediction_id, before)))
            or 0,
        )


def prune(engine: Engine, before: datetime) -> int:
    """Remove predictions that were made before a moment, oldest first; returns how many."""
    removed = 0
    while True:
        with engine.begin() as connection:
            chunk = _prune_some(connection, before)
        removed += chunk
        if chunk < CHUNK:
            return removed


def _prune_some(connection: Connection, before: datetime) -> int:
    identifier = prediction_logs.c.id
    oldest = select(identifier).where(_old(identifier, before)).order_by(identifier).limit(CHUNK)
    # Labels go with their predictions.
    return connection.execute(delete(prediction_logs).where(identifier.in_(oldest))).rowcount


def _old(identifier: ColumnElement[str], before: datetime) -> ColumnElement[bool]:
    return identifier < first_id(before)
