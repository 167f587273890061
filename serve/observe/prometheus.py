"""Metrics for Prometheus: requests, latencies, errors, predictions, the log's queue, the bundle.

No caller can add labels without bound: routes are templates, and paths without a route are `other`.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from serve.checkout.bundle import Bundle
from serve.checkout.challengers import Challenger
from stages.common import processes

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds; an answer takes one to three milliseconds when the server is not pressed."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "WS"})


class Metrics(Collector):
    """The counts of one process, and its bundle; with several workers, files hold their counts.

    Args:
        bundle: gives the bundle that serves.
        challengers: gives those that are tried beside it, by horizon.
    """

    def __init__(
        self,
        bundle: Callable[[], Bundle | None],
        challengers: Callable[[], Mapping[str, Challenger]],
    ) -> None:
        # The moments at which counters were created would double the page.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # ships no types of it
        self._registry = registry = CollectorRegistry()
        self._shared = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
        requests = Counter(
            "serve_requests",
            "Requests by route, method and status.",
            ("route", "method", "status"),
            registry=registry,
        )
        seconds = Histogram(
            "serve_request_duration_seconds",
            "Seconds from a request's head to the end of its answer, by route.",
            ("route",),
            registry=registry,
            buckets=BUCKETS,
        )
        self._errors = Counter(
            "serve_errors",
            "Answers with a problem, by route and type of problem.",
            ("route", "type"),
            registry=registry,
        )
        predictions = Counter(
            "serve_predictions",
            "Forecasts answered, by horizon and md5 of the model.",
            ("horizon", "md5"),
            registry=registry,
        )
        tried = Counter(
            "serve_challenger_forecasts",
            "Forecasts of requests that a challenger took part in, by horizon and role: champion "
            "and canary were answered, shadow was only logged.",
            ("horizon", "role"),
            registry=registry,
        )
        # prometheus_client takes a lock and some microseconds to find what has these labels.
        self._requests = cache(requests.labels)
        self._seconds = cache(seconds.labels)
        self._predictions = cache(predictions.labels)
        self._tried = cache(tried.labels)
        self._queue = Gauge(
            "serve_prediction_log_queue",
            "Rows that wait to be durable.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._bundle = bundle
        self._challengers = challengers
        if not self._shared:
            registry.register(self)

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request."""
        method = method if method in METHODS else "other"
        self._requests(route, method, str(status)).inc()
        self._seconds(route).observe(seconds)

    def failed(self, route: str, kind: str) -> None:
        """Count a problem."""
        self._errors.labels(route, kind).inc()

    def predicted(self, horizon: str, md5: str, forecasts: int = 1) -> None:
        """Count forecasts that were answered."""
        self._predictions(horizon, md5).inc(forecasts)

    def tried(self, horizon: str, role: str | None) -> None:
        """Count a forecast of a request that a challenger took part in."""
        self._tried(horizon, role or "champion").inc()

    def waiting(self, rows: int) -> None:
        """Note how many rows wait for the prediction log."""
        self._queue.set(rows)

    def page(self, accept: str) -> tuple[bytes, str]:
        """The page for Prometheus, in the format that it accepts, and its media type."""
        encode, media_type = choose_encoder(accept)
        registry = self._registry
        if self._shared:
            _forget_the_dead(Path(self._shared))
            registry = CollectorRegistry()
            MultiProcessCollector(registry, self._shared)  # type: ignore[no-untyped-call]
            registry.register(self)
        return encode(registry), media_type

    def collect(self) -> Iterator[Metric]:
        """The bundle of this worker and its challengers; no samples while none is loaded."""
        bundle = self._bundle()
        age = GaugeMetricFamily(
            "serve_bundle_age_seconds", "Seconds since the revision that serves was loaded."
        )
        info = GaugeMetricFamily(
            "serve_bundle_info",
            "1 for each model that serves.",
            labels=("horizon", "revision", "md5", "version"),
        )
        ready = GaugeMetricFamily(
            "serve_challenger_info",
            "1 for each challenger that is tried beside a model that serves.",
            labels=("horizon", "revision", "md5", "version", "mode"),
        )
        failures = GaugeMetricFamily(
            "serve_challenger_failures",
            "Rows that the challenger of a horizon had no forecast for since it was loaded.",
            labels=("horizon",),
        )
        for name, challenger in self._challengers().items():
            announced = challenger.announced
            version = announced.version or ""
            values = (name, announced.commit, announced.model_md5, version, announced.mode)
            ready.add_metric(values, 1)
            failures.add_metric((name,), challenger.failures)
        if bundle is not None:
            age.add_metric((), max(0.0, time.time() - bundle.loaded_at))
            for name, model in bundle.models.items():
                version = bundle.revision.versions.get(name, "")
                info.add_metric((name, bundle.revision.name, model.md5, version), 1)
        yield from (age, info, ready, failures)


def _forget_the_dead(folder: Path) -> None:
    """Remove the gauges of workers that have ended, killed ones too; their counters stay."""
    for path in folder.glob("gauge_live*_*.db"):
        pid = int(path.stem.rpartition("_")[2])
        if processes.process(pid) is None:
            mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
