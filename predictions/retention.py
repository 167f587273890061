"""Removing old predictions, with their labels."""

from datetime import datetime

from sqlalchemy import Engine, delete, func, select

from predictions.schema import first_id, label_store, prediction_logs

CHUNK = 2_000
"""Predictions of one transaction, for which writers have to wait."""


def count(engine: Engine, before: datetime) -> tuple[int, int]:
    """How many predictions were made before a moment, and how many of them have a label."""
    first = first_id(before)
    predictions = select(func.count()).where(prediction_logs.c.id < first)
    labels = select(func.count()).where(label_store.c.prediction_id < first)
    with engine.connect() as connection:
        return connection.scalar(predictions) or 0, connection.scalar(labels) or 0


def prune(engine: Engine, before: datetime) -> int:
    """Remove predictions that were made before a moment, oldest first; returns how many."""
    identifier = prediction_logs.c.id
    old = select(identifier).where(identifier < first_id(before))
    # Labels go with their predictions.
    chunk = delete(prediction_logs).where(identifier.in_(old.order_by(identifier).limit(CHUNK)))
    removed = 0
    while True:
        with engine.begin() as connection:
            rows = connection.execute(chunk).rowcount
        removed += rows
        if rows < CHUNK:
            return removed
