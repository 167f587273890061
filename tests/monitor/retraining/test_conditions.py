"""What must hold before a challenger is trained; each condition that does not is named."""

from datetime import UTC, datetime, timedelta

from monitor.retraining import retraining_conditions as conditions
from monitor.retraining.decisions import Decision
from monitor.retraining.retraining_conditions import Labels
from tests.monitor.arena import thresholds

NOW = datetime(2013, 3, 4, 22, tzinfo=UTC)
PARAMS = thresholds()
ENOUGH = [Labels(300, 150), Labels(100, 60)]


def decision(outcome: str, days: float, *, challenger: str | None = None) -> Decision:
    """A decision so many days ago."""
    reason = "rollback" if outcome == "rolled back" else "drift"
    return Decision("1", NOW - timedelta(days=days), reason, outcome, "", challenger=challenger)


def missing(labels: list[Labels], *former: Decision) -> list[str]:
    """What does not hold."""
    return conditions.missing(PARAMS, labels, former, NOW)


def test_all_horizons_count_together() -> None:
    assert missing(ENOUGH) == []


def test_each_missing_condition_is_named_with_its_number() -> None:
    unmet = missing([Labels(1000, 100)], decision("rejected", 2, challenger="a"))
    assert unmet == [
        "a challenger was trained 2.0 days ago, 7 days must pass",
        "100 live forecasts have a label, 200 are needed",
        "10% of 1,000 due live forecasts have a label, 30% are needed",
    ]
    assert missing([]) == [
        "0 live forecasts have a label, 200 are needed",
        "0% of 0 due live forecasts have a label, 30% are needed",
    ]


def test_what_trained_nothing_starts_no_cooldown() -> None:
    assert missing(ENOUGH, decision("refused", 1), decision("failed", 1)) == []
    assert missing(ENOUGH, decision("promoted", 7.1, challenger="a")) == []


def test_a_roll_back_starts_one() -> None:
    (condition,) = missing(ENOUGH, decision("rolled back", 1, challenger="a"))
    assert "rolled back 1.0 days ago" in condition


def test_a_clock_that_goes_back_stops_nothing() -> None:
    assert missing(ENOUGH, decision("rejected", -3, challenger="a")) == []
