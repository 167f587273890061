"""The newest value of every metric for Prometheus: `var/monitor/metrics.prom`.

The textfile collector of node_exporter reads it (`--collector.textfile.directory=var/monitor`), so
that commands that run for seconds have gauges too.
"""

import math
from datetime import datetime, timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile
from sqlalchemy import Connection, Engine

from monitor.settings import Settings
from monitor.store import metric_history

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
    was measured, so that an alert can find a monitor that stopped.
    """
    rows = metric_history.newest(connection, since)
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
