"""Metrics of the monitor over a span of time, as frames."""

import polars as pl
from sqlalchemy import Connection

from dashboard.watching import time_spans
from monitor.settings import Settings
from monitor.store import records

SCHEMA = {
    "at": pl.Datetime("us", "UTC"),
    "name": pl.String,
    "horizon": pl.String,
    "of": pl.String,
    "value": pl.Float64,
    "greatest": pl.Float64,
}


def history(
    connection: Connection, settings: Settings, names: tuple[str, ...], span: str
) -> pl.DataFrame:
    """Metrics over a span that ends now.

    Returns:
        `SCHEMA`, oldest first: `of` is the tag beside the horizon (a check, a feature, a model);
        `value` the last measurement in ten minutes, an hour or a day, `greatest` the greatest.
    """
    now = settings.clock
    read = records.history(
        connection, names, time_spans.begin(span, now), now, time_spans.grain(span)
    )
    rows = [
        (
            each.at,
            each.name,
            each.tags.get("horizon", ""),
            " ".join(value for name, value in sorted(each.tags.items()) if name != "horizon"),
            each.value,
            each.greatest,
        )
        for each in read
    ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")
