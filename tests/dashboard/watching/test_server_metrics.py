"""Rates and quantiles from two readings of the server's own counters."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from dashboard.watching import server_metrics
from dashboard.watching.server_metrics import MetricsError, Reading, Readings
from serve.checkout.bundle import Bundle
from serve.observe.prometheus import Metrics

AT = datetime(2013, 1, 2, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture
def metrics() -> Metrics:
    """Those of a server without models."""

    def none() -> Bundle | None:
        return None

    return Metrics(none, dict)


def reading(metrics: Metrics, at: datetime = AT) -> Reading:
    return server_metrics.parse(metrics.page("text/plain")[0].decode(), at)


def test_rates_are_what_was_answered_between_two_readings(metrics: Metrics) -> None:
    metrics.answered("/predict/short", "POST", 200, 0.002)
    before = reading(metrics)
    for _ in range(90):
        metrics.answered("/predict/short", "POST", 200, 0.002)
    for _ in range(10):
        metrics.answered("/predict/short", "POST", 503, 0.2)
    metrics.answered("/metrics", "GET", 200, 0.001)
    metrics.waiting(7)
    after = reading(metrics, AT + 10 * SECOND)
    row = server_metrics.rates([before, after]).row(0, named=True)
    assert (row["at"], row["requests"], row["errors"]) == (AT + 10 * SECOND, 10.0, 1.0)
    # The buckets that hold them: 1 to 2.5 ms, and 100 to 250 ms.
    assert 0.001 < row["p50"] < 0.0025
    assert 0.1 < row["p95"] < row["p99"] <= 0.25
    assert after.queue == 7
    assert after.requests["/predict/short", "503"] == 10


def test_without_requests_there_are_no_quantiles(metrics: Metrics) -> None:
    row = server_metrics.rates([reading(metrics), reading(metrics, AT + SECOND)]).row(0, named=True)
    assert (row["requests"], row["p50"], row["p99"]) == (0, None, None)
    assert server_metrics.rates([reading(metrics)]).is_empty()


def test_a_server_that_was_started_anew_counts_from_0() -> None:
    before = Reading(AT, Counter({("/x", "200"): 100}), Counter(), 0)
    after = Reading(AT + SECOND, Counter({("/x", "200"): 4}), Counter(), 0)
    assert server_metrics.rates([before, after])["requests"][0] == 4


def test_quantiles_are_interpolated_as_prometheus_does() -> None:
    infinite = float("inf")
    buckets = Counter({1.0: 50, 2.0: 90, infinite: 100})
    assert server_metrics.quantile(buckets, 0.25) == 0.5
    assert server_metrics.quantile(buckets, 0.7) == 1.5
    assert server_metrics.quantile(buckets, 0.99) == 2.0
    assert server_metrics.quantile(Counter({1.0: 0, infinite: 0}), 0.5) is None
    assert server_metrics.quantile(Counter(), 0.5) is None


def test_what_is_not_a_page_of_metrics_is_refused() -> None:
    with pytest.raises(MetricsError, match="DASHBOARD_SERVER"):
        server_metrics.parse("<html>hello</html>", AT)
    with pytest.raises(MetricsError, match="DASHBOARD_SERVER"):
        server_metrics.parse('serve_requests_total{other="x"} 1\n', AT)


def test_readings_are_bounded_and_read_once_for_all_viewers(metrics: Metrics) -> None:
    readings = Readings()
    assert readings.is_due(AT, 4)
    for number in range(server_metrics.KEPT + 5):
        readings.recent.append(
            reading(metrics, AT + number * SECOND) if not number else readings.recent[-1]
        )
    assert len(readings.recent) == server_metrics.KEPT
    assert not readings.is_due(AT + SECOND, 4)
    assert readings.is_due(AT + 4 * SECOND, 4)
