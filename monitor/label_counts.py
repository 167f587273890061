"""How much is known of the forecasts that are due."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from statistics import median
from typing import NamedTuple

import polars as pl
from sqlalchemy import ColumnElement, Connection, Date, case, func, select

from monitor.store.records import Records
from predictions.schema import label_store, prediction_logs

STORED, CORRECTED, DISAGREEING, WITHOUT_BAR = "stored", "corrected", "disagreeing", "without bar"

LATEST = "latest"
"""The source of forecasts of the server's own bars."""


@dataclass(frozen=True)
class LabelCounts:
    """How much is known of the forecasts of a horizon that are due.

    Attributes:
        horizon: its name.
        due, labelled: distinct forecasts of the server's own bars whose target session has passed,
            and those of them that have a label.
        due_all, labelled_all: the same of all rows of the log.
        stored, corrected: labels of this run.
        disagreeing: labels by others that differ from the bars; None if labels were not compared,
            since the bars are those of the last time.
        without_bar: how many due forecasts have no label for want of a bar, by symbol and session
            of that bar; the most first.
        lateness: median days from the target session to the label; None without labels.
    """

    horizon: str
    due: int
    labelled: int
    due_all: int
    labelled_all: int
    stored: int
    corrected: int
    disagreeing: int | None
    without_bar: dict[tuple[str, date], int]
    lateness: float | None

    @property
    def lacking(self) -> int:
        """How many due forecasts have no label for want of a bar."""
        return sum(self.without_bar.values())

    @property
    def coverage(self) -> float | None:
        """The share of distinct due forecasts that have a label; None if none is due."""
        return self.labelled / self.due if self.due else None

    @property
    def coverage_all(self) -> float | None:
        """The share of all due forecasts that have a label; None if none is due."""
        return self.labelled_all / self.due_all if self.due_all else None


class _Sizes(NamedTuple):
    due: int
    labelled: int
    due_all: int
    labelled_all: int


def due_by(today: date) -> tuple[ColumnElement[bool], ...]:
    """The conditions of a forecast whose target session has passed."""
    return prediction_logs.c.target_date <= today, prediction_logs.c.as_of.is_not(None)


def count(
    connection: Connection, today: date, done: Sequence[pl.DataFrame], *, compared: bool
) -> list[LabelCounts]:
    """Count the forecasts of the log that are due.

    Args:
        connection: to the log.
        today: a forecast is due once its target session is today or before.
        done: what was done to their labels: `horizon`, `state`, `symbol`, `missing` and `len`.
        compared: whether former labels were compared with the bars.

    Returns:
        One for each horizon that has a due forecast, by name.
    """
    states: Counter[tuple[str, str]] = Counter()
    lacking: dict[str, Counter[tuple[str, date]]] = {}
    for frame in done:
        for horizon, state, symbol, missing, rows in frame.iter_rows():
            states[horizon, state] += rows
            if state == WITHOUT_BAR:
                lacking.setdefault(horizon, Counter())[symbol, missing] += rows
    late = _lateness(connection, today)
    return [
        LabelCounts(
            horizon,
            *sizes,
            stored=states[horizon, STORED],
            corrected=states[horizon, CORRECTED],
            disagreeing=states[horizon, DISAGREEING] if compared else None,
            without_bar=dict(_most(lacking.get(horizon, Counter()))),
            lateness=late.get(horizon),
        )
        for horizon, sizes in _sizes(connection, today)
    ]


def _most(lacking: Counter[tuple[str, date]]) -> list[tuple[tuple[str, date], int]]:
    return sorted(lacking.items(), key=lambda item: (-item[1], item[0]))


def _sizes(connection: Connection, today: date) -> Iterator[tuple[str, _Sizes]]:
    column = prediction_logs.c
    named = (column.horizon, column.source)
    distinct = (
        select(
            *named,
            func.count().label("rows"),
            func.count(label_store.c.prediction_id).label("labels"),
        )
        .select_from(prediction_logs.outerjoin(label_store))
        .where(*due_by(today))
        # In the order of the index of bars.
        .group_by(
            column.horizon,
            column.as_of,
            column.source,
            column.symbol,
            column.model_md5,
            column.role,
        )
        .subquery()
    )
    own = distinct.c.source == LATEST
    query = (
        select(
            distinct.c.horizon,
            func.sum(case((own, 1), else_=0)),
            func.sum(case((own & (distinct.c.labels > 0), 1), else_=0)),
            func.sum(distinct.c.rows),
            func.sum(distinct.c.labels),
        )
        .group_by(distinct.c.horizon)
        .order_by(distinct.c.horizon)
    )
    for horizon, *sums in connection.execute(query):
        # PostgreSQL gives sums as decimals.
        yield horizon, _Sizes(*map(int, sums))


def _lateness(connection: Connection, today: date) -> dict[str, float]:
    """Median days from the target session to the arrival of its label, by horizon."""
    target = prediction_logs.c.target_date
    arrived = func.date(label_store.c.created_at, type_=Date)
    keys = (prediction_logs.c.horizon, target, arrived)
    query = select(*keys, func.count()).join_from(prediction_logs, label_store)
    days: dict[str, Counter[int]] = {}
    for horizon, due, day, rows in connection.execute(query.where(*due_by(today)).group_by(*keys)):
        days.setdefault(horizon, Counter())[(day - due).days] += rows
    return {horizon: median(counted.elements()) for horizon, counted in days.items()}


def keep(written: Records, counts: LabelCounts) -> None:
    """Keep the counts of a horizon as metrics."""
    values = {
        "label_coverage": counts.coverage,
        "label_coverage_all": counts.coverage_all,
        "labels_due": counts.due,
        "labels_stored": counts.labelled,
        "labels_new": counts.stored,
        "labels_corrected": counts.corrected,
        "labels_without_bar": counts.lacking,
        "label_lateness": counts.lateness,
        **({} if counts.disagreeing is None else {"labels_disagreeing": counts.disagreeing}),
    }
    for name, value in values.items():
        written.metric(name, value, {"horizon": counts.horizon})
