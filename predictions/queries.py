"""Predictions of the log, with their labels."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, or_, select

from predictions.schema import first_id, label_store, prediction_logs
from stages.common.errors import StageError

# SQLAlchemy's type for the names of columns is not one that JSON takes.
LABEL = {str(column.name): f"label_{column.name}" for column in label_store.columns}
"""Columns of a label: their names in its table, and in the rows of a query."""

_COLUMNS = (
    *prediction_logs.columns,
    *(column.label(LABEL[column.name]) for column in label_store.columns),
)


CHAMPION = "champion"
"""The role, as a selection names it, of the model of the revision that is checked out."""

_ROLE = prediction_logs.c.role
_ANSWERED = or_(_ROLE.is_(None), _ROLE != "shadow")


class UnknownPredictionError(StageError):
    """The log has no prediction of this id."""


@dataclass(frozen=True)
class Selection:
    """Which predictions to select; None selects any.

    Attributes:
        symbol, horizon: of the prediction.
        since, until: when it was made, `until` itself left out.
        labelled: whether it has a label.
        role: of its model: `champion`, `shadow` or `canary`.
    """

    symbol: str | None = None
    horizon: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    labelled: bool | None = None
    role: str | None = None

    @property
    def id(self) -> ColumnElement[str]:
        """The column to search and sort by."""
        # Labels are often few: a search for labelled predictions starts from them.
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
        if self.role == CHAMPION:
            query = query.where(_ROLE.is_(None))
        elif self.role is not None:
            query = query.where(prediction_logs.c.role == self.role)
        if self.since is not None:
            query = query.where(self.id >= first_id(self.since))
        if self.until is not None:
            query = query.where(self.id < first_id(self.until))
        return query


def page(
    connection: Connection, selection: Selection, cursor: str | None, limit: int
) -> tuple[Sequence[RowMapping], str | None]:
    """Predictions, newest first, and the cursor of those that follow; None if none do.

    Args:
        cursor: of the page before.
        limit: most predictions of a page.
    """
    query = selection.select().order_by(selection.id.desc()).limit(limit + 1)
    if cursor is not None:
        query = query.where(selection.id < cursor)
    rows = connection.execute(query).mappings().all()
    return rows[:limit], rows[limit - 1]["id"] if len(rows) > limit else None


def one(connection: Connection, identifier: str) -> RowMapping:
    """A prediction.

    Raises:
        UnknownPredictionError: there is none of this id.
    """
    query = Selection().select().where(prediction_logs.c.id == identifier)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise UnknownPredictionError(f"no prediction {identifier}")
    return row


def for_sessions(
    connection: Connection, selection: Selection, first: date, until: date, limit: int
) -> dict[str, list[Any]]:
    """Answers for the sessions of a span, by column, oldest first, with their outcomes.

    Args:
        first, until: target dates, both included.
        limit: most predictions; the newest stay.
    """
    names = (
        *("id", "created_at", "as_of", "target_date", "last_close", "predicted_return", "lower"),
        *("upper", "probability", "revision", "model_md5", "model_version"),
    )
    outcome = (label_store.c.actual_return, label_store.c.actual_close)
    columns = [*(prediction_logs.c[name] for name in names), *outcome]
    query = (
        selection.select(*columns)
        .where(prediction_logs.c.target_date.between(first, until), _ANSWERED)
        .order_by(selection.id.desc())
        .limit(limit)
    )
    rows = connection.execute(query).all()[::-1]
    return {str(column.name): [row[place] for row in rows] for place, column in enumerate(columns)}


def since(
    connection: Connection, first: str, known: Collection[str], limit: int
) -> list[dict[str, Any]]:
    """Answers from an id on, oldest first, without their inputs.

    Args:
        first: the least id.
        known: ids that are left out.
        limit: most predictions.
    """
    identifier = prediction_logs.c.id
    every = select(identifier).where(identifier >= first, _ANSWERED).order_by(identifier)
    new = [each for each in connection.scalars(every) if each not in known][:limit]
    if not new:
        return []
    columns = (column for column in prediction_logs.columns if column.name != "inputs")
    query = select(*columns).where(identifier.in_(new)).order_by(identifier)
    return [dict(row) for row in connection.execute(query).mappings()]
