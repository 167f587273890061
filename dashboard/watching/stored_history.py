"""Metrics of the monitor over a span of time, as frames."""

import polars as pl
from sqlalchemy import Connection

from dashboard.watching import time_spans
from monitor.settings import Settings
from monitor.store import metric_history
from stages.common import tables

SCHEMA: tables.Contract = {
    "at": tables.UTC,
    "name": pl.String,
    "horizon": pl.String,
    "model": pl.String,
    "of": pl.String,
    "value": pl.Float64,
    "greatest": pl.Float64,
}

_OWN = ("horizon", "model")


def history(
    connection: Connection, settings: Settings, names: tuple[str, ...], span: str
) -> pl.DataFrame:
    """Metrics over a span that ends now.

    Returns:
        `SCHEMA`, oldest first: `model` is the head of an md5, `of` what else it is about, such as a
        check or a feature; `value` is the last measurement in ten minutes, an hour or a day,
        `greatest` the greatest.
    """
    now = settings.clock
    read = metric_history.spans(
        connection, names, time_spans.begin(span, now), now, time_spans.grain(span)
    )
    rows = [
        (
            each.at,
            each.name,
            each.tags.get("horizon", ""),
            each.tags.get("model", ""),
            " ".join(value for name, value in sorted(each.tags.items()) if name not in _OWN),
            each.value,
            each.greatest,
        )
        for each in read
    ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")
