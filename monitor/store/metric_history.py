"""What was measured: the metrics of the monitor over time, and the newest of each."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, Select, String, cast, func, select

from predictions.schema import monitoring_metrics


class Measurement(NamedTuple):
    """A metric at a moment.

    Attributes:
        at: when it was measured, in UTC.
        name: of the metric.
        value: None if it was not defined.
        tags: what it is about.
    """

    at: datetime
    name: str
    value: float | None
    tags: Mapping[str, str]


def since(connection: Connection, moment: datetime, names: Sequence[str] = ()) -> list[Measurement]:
    """The measurements since a moment, of some metrics or of all, oldest first."""
    columns = monitoring_metrics.c
    query = (
        select(columns.created_at, columns.name, columns.value, columns.tags)
        .where(columns.created_at >= moment)
        .order_by(columns.created_at, columns.id)
    )
    if names:
        query = query.where(columns.name.in_(names))
    return _measurements(connection, query)


def newest(
    connection: Connection,
    moment: datetime,
    names: Sequence[str] = (),
    until: datetime | None = None,
) -> list[Measurement]:
    """The newest measurement of each metric and each of its tags, sorted by name and tags.

    Args:
        connection: to the log.
        moment: what was measured before it does not count.
        names: of the metrics; all if empty.
        until: what was measured after it does not count.
    """
    columns = monitoring_metrics.c
    conditions = [columns.created_at >= moment]
    if names:
        conditions.append(columns.name.in_(names))
    if until is not None:
        conditions.append(columns.created_at <= until)
    # Ids grow with the time of the machine, also where a clock that is simulated goes back.
    latest = (
        select(func.max(columns.id).label("id"))
        .where(*conditions)
        .group_by(columns.name, columns.tags)
        .subquery()
    )
    query = (
        select(columns.created_at, columns.name, columns.value, columns.tags)
        .join(latest, columns.id == latest.c.id)
        .order_by(columns.name, columns.tags)
    )
    return _measurements(connection, query)


def _measurements(connection: Connection, query: Select[Any]) -> list[Measurement]:
    return [
        Measurement(at, name, value, json.loads(tags))
        for at, name, value, tags in connection.execute(query)
    ]


class Reading(NamedTuple):
    """A metric in a span of time.

    Attributes:
        at: of the last measurement in it.
        name, tags: of the metric.
        value: the last one; None if it was not defined.
        greatest: of the span.
    """

    at: datetime
    name: str
    tags: dict[str, str]
    value: float | None
    greatest: float | None


Grain = Literal["day", "hour", "ten minutes", "minute"]
_DIGITS: Mapping[Grain, int] = {"day": 10, "hour": 13, "ten minutes": 15, "minute": 16}


def spans(
    connection: Connection,
    names: Sequence[str],
    since: datetime,
    until: datetime,
    grain: Grain = "hour",
) -> list[Reading]:
    """Metrics over time, one reading a span, oldest first: years of them fit into a chart.

    Args:
        connection: to the log.
        names: of the metrics; the index of the table finds them.
        since, until: in UTC, both included.
        grain: how long a span is.
    """
    columns = monitoring_metrics.c
    # Both databases write a time in UTC as `2012-12-31 21:00:00`.
    span = func.substr(cast(columns.created_at, String), 1, _DIGITS[grain])
    # Ids grow with time.
    newest = (
        select(func.max(columns.id).label("id"), func.max(columns.value).label("greatest"))
        .where(columns.name.in_(names), columns.created_at.between(since, until))
        .group_by(columns.name, columns.tags, span)
        .subquery()
    )
    query = (
        select(columns.created_at, columns.name, columns.tags, columns.value, newest.c.greatest)
        .join(newest, columns.id == newest.c.id)
        .order_by(columns.created_at, columns.id)
    )
    return [
        Reading(at, name, json.loads(tags), value, greatest)
        for at, name, tags, value, greatest in connection.execute(query)
    ]
