"""The forecasts of the prediction log as tables: one row a distinct forecast, with its label.

A forecast that was requested a thousand times counts once, or busy users would decide what the
monitor sees. Forecasts differ by symbol, horizon, bar, model and role. Those of a caller's own
features have no bar, and each of them counts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import orjson
import polars as pl
from sqlalchemy import ColumnElement, Connection, Engine, Select, case, func, select

from predictions import engine as engines
from predictions.schema import label_store, prediction_logs
from stages.common import tables

GROUP = 10_000
"""Rows that are read at once."""

SCHEMA: tables.Contract = {
    "id": pl.String,
    "symbol": pl.String,
    "horizon": pl.String,
    "sessions": pl.Int64,
    "as_of": pl.Date,
    "target_date": pl.Date,
    "last_close": pl.Float64,
    "predicted_return": pl.Float64,
    "lower": pl.Float64,
    "upper": pl.Float64,
    "level": pl.Float64,
    "probability": pl.Float64,
    "scale": pl.Float64,
    "revision": pl.String,
    "model_md5": pl.String,
    "model_version": pl.String,
    "role": pl.String,
    "created_at": tables.UTC,
    "actual_return": pl.Float64,
    "labelled_at": tables.UTC,
}
"""Columns of a table of forecasts; the last two are null without a label, `role` for the champion's
own."""

CHAMPION = "champion"
"""The role of the model of the revision that is checked out, as a window names it."""


@dataclass(frozen=True)
class Window:
    """Which forecasts to read; None is any.

    Attributes:
        horizon: their horizon.
        models: md5s of the models that made them.
        role: `champion` (null in the log), `shadow` or `canary`.
        sources: `latest`, `bars`, `rows`; by default the server's own bars alone, since a caller's
            may be what-if questions.
        since, until: the first and last session of their bars.
        due: only those whose target session is this day or before.
        newest: at most so many, the newest bars first.
    """

    horizon: str
    models: Sequence[str] | None = None
    role: str | None = CHAMPION
    sources: Sequence[str] = ("latest",)
    since: date | None = None
    until: date | None = None
    due: date | None = None
    newest: int | None = None

    def query(self) -> Select[Any]:
        """The id of one prediction of each distinct forecast: the newest with a label, if any."""
        column, label = prediction_logs.c, label_store.c.prediction_id
        identifier = func.coalesce(func.max(label), func.max(column.id)).label("id")
        keys: list[ColumnElement[Any]] = [
            column.as_of,
            column.symbol,
            column.model_md5,
            column.role,
        ]
        if "rows" in self.sources:
            keys.append(case((column.as_of.is_(None), column.id)))
        query = (
            select(identifier)
            .select_from(prediction_logs.outerjoin(label_store))
            .where(*self._conditions())
            .group_by(*keys)
        )
        if self.newest is not None:
            query = query.order_by(column.as_of.desc().nulls_last(), func.max(column.id).desc())
            query = query.limit(self.newest)
        return query

    def narrowed(self, connection: Connection) -> "Window":
        """The same forecasts: if only the newest are wanted, with the first bar that they need.

        With it the database reads a part of the index of bars, and not the whole log.
        """
        if self.newest is None or "rows" in self.sources:
            return self
        as_of, symbols = prediction_logs.c.as_of, func.count(prediction_logs.c.symbol.distinct())
        query = select(as_of, symbols).where(*self._conditions(), as_of.is_not(None))
        result = connection.execute(query.group_by(as_of).order_by(as_of.desc()))
        missing = self.newest
        with result:
            for session, forecasts in result:
                missing -= forecasts
                if missing <= 0:
                    return replace(self, since=session)
        return self

    def _conditions(self) -> list[ColumnElement[bool]]:
        column = prediction_logs.c
        conditions: list[ColumnElement[bool]] = [
            column.horizon == self.horizon,
            column.source.in_(self.sources),
        ]
        if self.models is not None:
            conditions.append(column.model_md5.in_(self.models))
        if self.role is not None:
            conditions.append(
                column.role.is_(None) if self.role == CHAMPION else column.role == self.role
            )
        if self.since is not None:
            conditions.append(column.as_of >= self.since)
        if self.until is not None:
            conditions.append(column.as_of <= self.until)
        if self.due is not None:
            conditions.append(column.target_date <= self.due)
        return conditions


def read(engine: Engine, window: Window) -> pl.DataFrame:
    """The forecasts of a window, with their labels.

    Returns:
        The columns of `SCHEMA`, sorted by bar, symbol and id.
    """
    return _sorted([frame for frame, _ in _groups(engine, window, inputs=False)])


def read_inputs(
    engine: Engine, window: Window, features: Sequence[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The forecasts of a window, and the features that they were made from.

    Args:
        engine: of the log.
        window: which forecasts.
        features: names of the features; one that a prediction lacks is null.

    Returns:
        The columns of `SCHEMA`, and a table of float32 with a column a feature, row by row the same
        forecasts.
    """
    frames = [
        frame.with_columns(_features(texts, features))
        for frame, texts in _groups(engine, window, inputs=True)
    ]
    empty = tables.empty({**SCHEMA, **dict.fromkeys(features, pl.Float32)})
    rows = _sorted(frames or [empty])
    return rows.select(list(SCHEMA)), rows.select(features)


def _sorted(frames: list[pl.DataFrame]) -> pl.DataFrame:
    if not frames:
        return tables.empty(SCHEMA)
    return pl.concat(frames).sort("as_of", "symbol", "id")


def _features(texts: Sequence[str], features: Sequence[str]) -> list[pl.Series]:
    values = np.empty((len(texts), len(features)), np.float32)
    for place, text in enumerate(texts):
        # None becomes NaN.
        values[place] = list(map(orjson.loads(text).get, features))
    return [
        pl.Series(name, values[:, column]).fill_nan(None) for column, name in enumerate(features)
    ]


def _groups(
    engine: Engine, window: Window, *, inputs: bool
) -> Iterator[tuple[pl.DataFrame, Sequence[str]]]:
    named = [
        *(prediction_logs.c[name] for name in SCHEMA if name in prediction_logs.c),
        label_store.c.actual_return,
        label_store.c.created_at.label("labelled_at"),
        *([prediction_logs.c.inputs] if inputs else []),
    ]
    with engines.reading(engine) as connection:
        distinct = window.narrowed(connection).query().subquery()
        query = (
            select(*named)
            .join(distinct, prediction_logs.c.id == distinct.c.id)
            .outerjoin(label_store, label_store.c.prediction_id == prediction_logs.c.id)
        )
        result = connection.execution_options(yield_per=GROUP).execute(query)
        for rows in result.partitions():
            columns = list(zip(*rows, strict=True))
            texts: Sequence[str] = columns.pop() if inputs else ()
            yield pl.DataFrame(dict(zip(SCHEMA, columns, strict=True)), schema=dict(SCHEMA)), texts
