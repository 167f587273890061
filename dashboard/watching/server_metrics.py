"""What the server counts (GET /metrics), read now and then, as rates and quantiles.

Counters only grow, so a rate needs two readings. They are kept in memory, for all viewers, while
somebody looks; nothing is stored.
"""

import math
import threading
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Final, TypeVar

import polars as pl
from prometheus_client.parser import text_string_to_metric_families

from stages.common import tables
from stages.common.errors import StageError

KEPT: Final = 720
"""Readings that are kept: an hour at one in five seconds."""

QUANTILES: Final = (0.5, 0.95, 0.99)
RATES: tables.Contract = {
    "at": tables.UTC,
    "requests": pl.Float64,
    "errors": pl.Float64,
    "p50": pl.Float64,
    "p95": pl.Float64,
    "p99": pl.Float64,
    "processor": pl.Float64,
    "memory": pl.Float64,
    "disk": pl.Float64,
}
_OWN = frozenset({"/metrics"})
_Key = TypeVar("_Key")


class MetricsError(StageError):
    """What the server answered are not its metrics."""


@dataclass(frozen=True)
class Reading:
    """Counters at one moment; the reading of them is not counted.

    Attributes:
        at: in UTC.
        requests: by route and status.
        buckets: requests that took so many seconds at most, by the bound, of all routes.
        queue: rows that wait to be durable.
        processor, memory, disk: shares of this machine that are in use.
    """

    at: datetime
    requests: Counter[tuple[str, str]]
    buckets: Counter[float]
    queue: float
    processor: float = 0.0
    memory: float = 0.0
    disk: float = 0.0


@dataclass
class Readings:
    """The newest readings, shared by all viewers."""

    recent: deque[Reading] = field(default_factory=lambda: deque(maxlen=KEPT))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def is_due(self, now: datetime, seconds: float) -> bool:
        """Whether the newest reading is so old; another viewer may just have read."""
        return not self.recent or (now - self.recent[-1].at).total_seconds() >= seconds


def parse(page: str, at: datetime) -> Reading:
    """A reading from the page of the server.

    Raises:
        MetricsError: it is not one.
    """
    requests: Counter[tuple[str, str]] = Counter()
    buckets: Counter[float] = Counter()
    queue = 0.0
    try:
        for name, labels, value in _samples(page):
            if labels.get("route") in _OWN:
                continue
            if name == "serve_requests_total":
                requests[labels["route"], labels["status"]] += int(value)
            elif name == "serve_request_duration_seconds_bucket":
                buckets[float(labels["le"])] += int(value)
            elif name == "serve_prediction_log_queue":
                queue = value
    except (ValueError, KeyError):
        raise MetricsError(
            "the server's /metrics are not those of this project; see DASHBOARD_SERVER"
        ) from None
    return Reading(at, requests, buckets, queue)


def _samples(page: str) -> Iterator[tuple[str, dict[str, str], float]]:
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            yield sample.name, sample.labels, sample.value


def rates(readings: list[Reading]) -> pl.DataFrame:
    """What happened between each two readings; see `RATES`.

    Returns:
        Requests and errors a second, quantiles of the duration in seconds (null without
        requests), and shares of the machine in use.
    """
    rows = []
    for before, after in pairwise(readings):
        seconds = (after.at - before.at).total_seconds()
        requests = grown(before.requests, after.requests)
        failed = sum(count for (_, status), count in requests.items() if status.startswith("5"))
        took = grown(before.buckets, after.buckets)
        rows.append(
            (
                after.at,
                requests.total() / seconds,
                failed / seconds,
                *(quantile(took, share) for share in QUANTILES),
                after.processor,
                after.memory,
                after.disk,
            )
        )
    return pl.DataFrame(rows, schema=RATES, orient="row")


def grown(before: Counter[_Key], after: Counter[_Key]) -> Counter[_Key]:
    """By how much counters grew; a server that was started anew counts from 0."""
    if any(after[key] < count for key, count in before.items()):
        return after
    return Counter({key: count - before[key] for key, count in after.items()})


def quantile(buckets: Counter[float], share: float) -> float | None:
    """A quantile of a histogram, by interpolation within its bucket, as Prometheus does it.

    Args:
        buckets: values up to each bound, so that they grow with it; the last is infinite.
        share: of the values.

    Returns:
        In the unit of the bounds; the greatest finite one if it lies beyond; None without values.
    """
    bounds = sorted(buckets)
    total = buckets[bounds[-1]] if bounds else 0
    if not total:
        return None
    low, below = 0.0, 0
    for bound in bounds:
        if buckets[bound] >= share * total:
            if math.isinf(bound):
                return low
            return low + (bound - low) * (share * total - below) / (buckets[bound] - below)
        low, below = bound, buckets[bound]
    return low
