"""Past predictions and what came of them, as the database has them."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, RowMapping, Select, select
from sqlalchemy.dialects import postgresql, sqlite

from predictions.schema import first_id, label_store, prediction_logs, written
from serve.edge.problems import ProblemError
from serve.forecasts.prediction import answer
from serve.schemas import LabelRequest

# SQLAlchemy has a type of its own for names, which no JSON takes for a text.
_LABEL = {str(column.name): f"label_{column.name}" for column in label_store.columns}
_COLUMNS = (
    *prediction_logs.columns,
    *(column.label(_LABEL[column.name]) for column in label_store.columns),
)


@dataclass(frozen=True)
class Wanted:
    """Which predictions are meant; None is any.

    Attributes:
        symbol, horizon: of the prediction.
        since, until: when it was made, `until` itself left out.
        labelled: whether it has a label.
    """

    symbol: str | None = None
    horizon: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    labelled: bool | None = None

    @property
    def id(self) -> ColumnElement[str]:
        """The column to search and sort by."""
        # Labels are often few: then they lead to their predictions, not the other way round.
        labelled: ColumnElement[str] = label_store.c.prediction_id
        return labelled if self.labelled else prediction_logs.c.id

    def select(self, *columns: ColumnElement[Any]) -> Select[Any]:
        """Predictions: some columns, or all, those of the label as `label_...`."""
        joined = prediction_logs.join(label_store, isouter=self.labelled is not True)
        query = select(*(columns or _COLUMNS)).select_from(joined)
        if self.labelled is False:
            query = query.where(label_store.c.prediction_id.is_(None))
        if self.symbol is not None:
            query = query.where(prediction_logs.c.symbol == self.symbol)
        if self.horizon is not None:
            query = query.where(prediction_logs.c.horizon == self.horizon)
        if self.since is not None:
            query = query.where(self.id >= first_id(self.since))
        if self.until is not None:
            query = query.where(self.id < first_id(self.until))
        return query


def page(
    connection: Connection, wanted: Wanted, cursor: str | None, limit: int
) -> tuple[list[dict[str, Any]], str | None]:
    """Predictions, newest first, and the cursor of those that follow; None if none do.

    Args:
        cursor: of the page before.
        limit: most predictions of a page.
    """
    query = wanted.select().order_by(wanted.id.desc()).limit(limit + 1)
    if cursor is not None:
        query = query.where(wanted.id < cursor)
    rows = [_answer(row) for row in connection.execute(query).mappings()]
    return rows[:limit], rows[limit - 1]["id"] if len(rows) > limit else None


def one(connection: Connection, identifier: str) -> dict[str, Any]:
    """A prediction with the inputs that it was made from.

    Raises:
        ProblemError: 404, there is none.
    """
    row = _row(connection, identifier)
    return {**_answer(row), "inputs": orjson.loads(row["inputs"]), "scale": row["scale"]}


def label(
    connection: Connection, given: LabelRequest, created_at: datetime, client: str | None
) -> dict[str, Any]:
    """Keep ground truth for a prediction; returns it with what was stored.

    Raises:
        ProblemError: 404, there is no such prediction; 409, it has a label; 422, no return can be
            told from its close.
    """
    identifier = str(given.prediction_id)
    row = _row(connection, identifier)
    if row["label_created_at"] is None:
        stored = {
            "prediction_id": identifier,
            "actual_return": _return(given, row["last_close"]),
            "actual_close": given.actual_close,
            "observed_at": given.observed_at,
            "created_at": created_at,
            "client": client,
        }
        insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
        statement = insert(label_store).values(stored).on_conflict_do_nothing()
        if connection.execute(statement).rowcount:
            return stored
        # Another was faster.
        row = _row(connection, identifier)
    raise ProblemError(
        409,
        f"prediction {identifier} has had a label since {row['label_created_at'].isoformat()}: "
        f"actual_return {row['label_actual_return']}; a label is given once",
        "labelled",
    )


def _return(given: LabelRequest, last_close: float | None) -> float:
    if given.actual_return is not None:
        return given.actual_return
    assert given.actual_close is not None  # noqa: S101  # of the two, one at least is given
    if last_close is None:
        raise ProblemError(
            422,
            "actual_close: the close that the prediction was made from was not told; send "
            "actual_return",
            "no-close",
        )
    found = given.actual_close / last_close - 1
    if not math.isfinite(found):
        raise ProblemError(
            422,
            f"actual_close: {given.actual_close} after a last_close of {last_close} is no finite "
            "return; send actual_return",
            "no-return",
        )
    return found


def _row(connection: Connection, identifier: str) -> RowMapping:
    query = Wanted().select().where(prediction_logs.c.id == identifier)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise ProblemError(
            404,
            f"no prediction {identifier}; GET /predictions lists them",
            "unknown-prediction",
        )
    return row


def _answer(row: RowMapping) -> dict[str, Any]:
    """A row in the shape of `schemas.LoggedPrediction`."""
    has_label = row["label_created_at"] is not None
    return {
        **answer(dict(row), row["id"], written(row["created_at"])),
        "logged_to": "database",
        "source": row["source"],
        "client": row["client"],
        "request_id": row["request_id"],
        "label": {name: row[key] for name, key in _LABEL.items()} if has_label else None,
    }


def since(
    connection: Connection, first: str, known: Collection[str], limit: int
) -> list[dict[str, Any]]:
    """Predictions from an id on, oldest first, without their inputs.

    Args:
        first: the least id.
        known: ids that are left out.
        limit: most predictions.
    """
    identifier = prediction_logs.c.id
    every = select(identifier).where(identifier >= first).order_by(identifier)
    new = [found for found in connection.scalars(every) if found not in known][:limit]
    if not new:
        return []
    columns = (column for column in prediction_logs.columns if column.name != "inputs")
    query = select(*columns).where(identifier.in_(new)).order_by(identifier)
    return [dict(row) for row in connection.execute(query).mappings()]
