"""Labels from the bars: what came of each forecast whose target session is in `data/clean`.

A label that came by `POST /labels` is never replaced here. A label of the monitor's own is
corrected when its bars were restated, and the former is kept in `former_labels`.
"""

import json
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import Connection, Engine, select

from monitor import label_counts
from monitor.label_counts import CORRECTED, DISAGREEING, STORED, WITHOUT_BAR, LabelCounts
from monitor.settings import MonitorError, Settings
from monitor.store import records
from predictions import engine as engines
from predictions import labels
from predictions.schema import Row, label_store, monitoring_metrics, prediction_logs
from stages.common import tables
from stages.common.paths import CLEAN_DAILY
from versions.repository.workspace import digest_or_none

CLIENT = "monitor"
"""Who gave a label, in `label_store`."""

ROUNDING = 1e-5
"""Returns that differ by no more are the same: prices are kept to a few digits."""

BATCH = 2_000
"""Labels of one transaction, which makes other writers wait."""

GROUP = 10_000
"""Forecasts that are read at once."""

COMPARED = "labels_compared"
"""The metric that names the bars with which all labels were last compared."""

_BARS = ("symbol", "date", "close", "adj_close")

_DUE: tables.Contract = {
    "id": pl.String,
    "horizon": pl.String,
    "symbol": pl.String,
    "as_of": pl.Date,
    "target_date": pl.Date,
    "actual_return": pl.Float64,
    "client": pl.String,
}


def realised(forecasts: pl.DataFrame, bars: pl.DataFrame) -> pl.DataFrame:
    """What came of forecasts.

    Args:
        forecasts: `symbol`, `as_of` and `target_date`, perhaps more.
        bars: `symbol`, `date`, `close` and `adj_close`, one row a symbol and date.

    Returns:
        The forecasts in their order, with `realised` (the return from the bar of `as_of` to that of
        `target_date` as a fraction, dividends and splits included), `realised_close` (as traded)
        and `missing` (the session whose bar is missing). The first two are null without both bars,
        the last with them.
    """
    start = bars.select("symbol", as_of="date", _start="adj_close")
    end = bars.select("symbol", target_date="date", _end="adj_close", realised_close="close")
    joined = forecasts.join(start, on=["symbol", "as_of"], how="left", maintain_order="left")
    joined = joined.join(end, on=["symbol", "target_date"], how="left", maintain_order="left")
    growth = pl.col("_end") / pl.col("_start") - 1
    known = growth.is_finite().fill_null(value=False)
    lacking = pl.when(pl.col("_start").is_null()).then("as_of").otherwise("target_date")
    return joined.with_columns(
        realised=pl.when(known).then(growth),
        realised_close=pl.when(known).then("realised_close"),
        missing=pl.when(~known).then(lacking),
    ).drop("_start", "_end")


def read_bars(path: Path = CLEAN_DAILY) -> pl.DataFrame:
    """The bars that labels are made of.

    Raises:
        InputError: the file is missing or cannot be read.
        MonitorError: it has no bar.
    """
    bars = tables.read(path, _BARS)
    if bars.is_empty():
        raise MonitorError(f"{path}: has no bar; run `dvc repro clean`")
    return bars


def newest_session(bars: pl.DataFrame) -> date:
    """The session that counts as today: that of the newest bar."""
    newest = bars["date"].max()
    assert isinstance(newest, date)  # noqa: S101  # there is a bar
    return newest


def store(
    engine: Engine, settings: Settings, today: date | None = None, path: Path = CLEAN_DAILY
) -> list[LabelCounts]:
    """Store the labels that fell due, and keep their counts as metrics.

    Args:
        engine: of the log.
        settings: of the monitor.
        today: a forecast is due once its target session is today or before; the newest session of
            the bars if None.
        path: of the bars.

    Returns:
        The counts of each horizon that has a due forecast, by name.

    Raises:
        InputError, MonitorError: as `read_bars`.
    """
    # Before the bars are read, so that bars that change in between are compared again.
    content = digest_or_none(path)
    bars = read_bars(path)
    today = today or newest_session(bars)
    compared = {"md5": str(content), "until": str(today)}
    with engines.reading(engine) as connection:
        compare = _compared(connection) != compared
    now = settings.clock
    done = [
        _put(engine, _judged(realised(due, bars)), now)
        for due in _due(engine, today, compare=compare)
    ]
    with engines.reading(engine) as connection:
        counts = label_counts.count(connection, today, done, compared=compare)
    with records.writing(engine, settings, now) as written:
        for one in counts:
            label_counts.keep(written, one)
        if compare:
            written.metric(COMPARED, sum(one.labelled_all for one in counts), compared)
    return counts


def _compared(connection: Connection) -> Any:
    """The bars with which labels were last compared, and the session up to which."""
    columns = monitoring_metrics.c
    # By id, since the clock of a simulation may go back.
    query = select(columns.tags).where(columns.name == COMPARED).order_by(columns.id.desc())
    tags = connection.scalar(query.limit(1))
    return None if tags is None else json.loads(tags)


def _due(engine: Engine, today: date, *, compare: bool) -> Iterator[pl.DataFrame]:
    """Forecasts that are due: those without a label; to compare labels, the others too."""
    columns = (
        *(prediction_logs.c[name] for name in ("id", "horizon", "symbol", "as_of", "target_date")),
        *(label_store.c.actual_return, label_store.c.client),
    )
    query = select(*columns).select_from(prediction_logs.outerjoin(label_store))
    query = query.where(*label_counts.due_by(today))
    if not compare:
        query = query.where(label_store.c.prediction_id.is_(None))
    with engines.reading(engine) as connection:
        result = connection.execution_options(yield_per=GROUP).execute(query)
        for rows in result.partitions():
            values = dict(zip(_DUE, zip(*rows, strict=True), strict=True))
            yield pl.DataFrame(values, schema=dict(_DUE))


def _judged(outcomes: pl.DataFrame) -> pl.DataFrame:
    """Add `state`: what is to be done about the label of each forecast; null for nothing."""
    labelled, known = pl.col("actual_return").is_not_null(), pl.col("realised").is_not_null()
    differs = (pl.col("realised") - pl.col("actual_return")).abs() > ROUNDING
    ours = (pl.col("client") == CLIENT).fill_null(value=False)
    return outcomes.with_columns(
        state=pl.when(~labelled & known)
        .then(pl.lit(STORED))
        .when(~labelled)
        .then(pl.lit(WITHOUT_BAR))
        .when(differs & ours)
        .then(pl.lit(CORRECTED))
        .when(differs)
        .then(pl.lit(DISAGREEING))
    )


def _put(engine: Engine, outcomes: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """Store and correct labels.

    Returns:
        How many forecasts by `horizon`, `state`, `symbol` and `missing`; those whose prediction was
        removed meanwhile, or labelled by another, do not count.
    """
    parts = [outcomes.filter(pl.col("state").is_in([WITHOUT_BAR, DISAGREEING]))]
    for state, put in ((STORED, labels.add_many), (CORRECTED, labels.correct_many)):
        # In one order, so that two runs at once cannot deadlock.
        for batch in outcomes.filter(pl.col("state") == state).sort("id").iter_slices(BATCH):
            with engine.begin() as connection:
                ids = put(connection, _rows(batch, now))
            parts.append(batch.filter(pl.col("id").is_in(ids)))
    return pl.concat(parts).group_by("horizon", "state", "symbol", "missing").len()


def _rows(outcomes: pl.DataFrame, now: datetime) -> list[Row]:
    """Rows of `label_store`."""
    named = outcomes.select(
        prediction_id="id", actual_return="realised", actual_close="realised_close"
    )
    rest = {"observed_at": None, "created_at": now, "client": CLIENT}
    return [{**row, **rest} for row in named.iter_rows(named=True)]
