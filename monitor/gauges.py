"""The newest value of every metric for Prometheus: `var/monitor/metrics.prom`.

The textfile collector of node_exporter reads it (`--collector.textfile.directory=var/monitor`), so
that commands that run for seconds have gauges too.
"""

import json
import math
from datetime import datetime, timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile
from sqlalchemy import Connection, Engine, func, select

from monitor.settings import Settings
from predictions.schema import monitoring_metrics

FILE = "metrics.prom"

DAYS = 7
"""A metric that was not measured for so many days is left out."""


def write(engine: Engine, settings: Settings) -> Path:
    """Write the file, whole or not at all; returns its path.

    Args:
        engine: of the log.
        settings: where the file goes.
    """
    with engine.connect() as connection:
        newest = registry(connection, settings.clock - timedelta(days=DAYS))
    path = settings.folder / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    write_to_textfile(str(path), newest)
    return path


def registry(connection: Connection, since: datetime) -> CollectorRegistry:
    """A gauge `monitor_<metric>` for each metric, with a label for each tag.

    A number that is not defined is NaN. `monitor_measured_timestamp_seconds` says when each metric
    was measured, by which an alert finds a monitor that stopped.
    """
    column = monitoring_metrics.c
    # Ids grow with time.
    newest = (
        select(func.max(column.id))
        .where(column.created_at >= since)
        .group_by(column.name, column.tags)
    )
    query = select(column.created_at, column.name, column.value, column.tags).where(
        column.id.in_(newest)
    )
    rows = [
        (at, name, value, json.loads(tags))
        for at, name, value, tags in connection.execute(query.order_by(column.name, column.tags))
    ]
    gauges = CollectorRegistry()
    measured = Gauge(
        "monitor_measured_timestamp_seconds", "When it was measured.", ["metric"], registry=gauges
    )
    for name in dict.fromkeys(name for _, name, _, _ in rows):
        own = [(at, value, tags) for at, other, value, tags in rows if other == name]
        labels = sorted({label for _, _, tags in own for label in tags})
        gauge = Gauge(f"monitor_{name}", f"Newest value of {name}.", labels, registry=gauges)
        for _, value, tags in own:
            child = gauge.labels(*(tags.get(label, "") for label in labels)) if labels else gauge
            child.set(math.nan if value is None else value)
        measured.labels(name).set(max(at for at, _, _ in own).timestamp())
    return gauges
