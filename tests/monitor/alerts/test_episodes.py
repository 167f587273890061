"""Episodes and silences, as pure functions of what fires and of the clock."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from monitor.alerts import episodes, firing, silences
from monitor.alerts.episodes import Episode
from monitor.alerts.firing import Firing, Severity
from monitor.alerts.silences import Silence
from monitor.health.verdicts import Check
from monitor.settings import MonitorError

NOW = datetime(2013, 1, 2, 12, tzinfo=UTC)
QUIET_CHECKS = 3


def fires(severity: Severity = "WARNING", horizon: str = "short", message: str = "x") -> Firing:
    return Firing("drift_share", {"horizon": horizon}, severity, message)


def rounds(*every: Sequence[Firing], step: int = 5) -> list[Episode]:
    """All episodes after some rounds."""
    known: list[Episode] = []
    for number, fired in enumerate(every):
        running = [each for each in known if each.ended_at is None]
        ended = [each for each in known if each.ended_at is not None]
        now = NOW + timedelta(minutes=step * number)
        known = [*ended, *episodes.follow(running, fired, (), now, QUIET_CHECKS)]
    return known


def test_an_episode_lasts_from_the_first_finding_to_some_quiet_checks() -> None:
    (one,) = rounds([fires(message="a")], [fires(message="b")], [], [], [])
    assert one.started_at == NOW
    assert one.seen_at == NOW + timedelta(minutes=5)
    assert one.ended_at == NOW + timedelta(minutes=20)
    assert one.message == "b"


def test_what_flickers_is_one_episode() -> None:
    (one,) = rounds([fires()], [], [], [fires()], [], [], [fires()])
    assert one.ended_at is None
    first, second = rounds([fires()], [], [], [], [fires()])
    assert (first.ended_at is None, second.ended_at is None) == (False, True)


def test_each_horizon_has_its_own_episode() -> None:
    known = rounds([fires(horizon="short"), fires(horizon="long")], [fires(horizon="long")])
    assert sorted(each.about for each in known) == ["horizon=long", "horizon=short"]
    assert {each.quiet for each in known} == {0, 1}


def test_a_severity_that_rises_is_untold_and_one_that_falls_stays() -> None:
    (one,) = rounds([fires("WARNING")])
    sent_episode = one.model_copy(update={"sent_at": NOW})
    (same,) = episodes.follow([sent_episode], [fires("INFO")], (), NOW, QUIET_CHECKS)
    assert (same.severity, same.sent_at) == ("WARNING", NOW)
    (risen,) = episodes.follow([sent_episode], [fires("CRITICAL")], (), NOW, QUIET_CHECKS)
    assert (risen.severity, risen.sent_at) == ("CRITICAL", None)


def test_what_could_not_be_judged_does_not_end() -> None:
    known = rounds([fires()])
    for _ in range(10):
        known = episodes.follow(known, [], {fires().key}, NOW, QUIET_CHECKS)
    (one,) = known
    assert (one.ended_at, one.quiet) == (None, 0)


def test_a_clock_that_goes_back_ends_nothing_before_it_began() -> None:
    (one,) = rounds([fires()], [fires()], [], [], [], step=-60)
    assert one.started_at == one.seen_at == one.ended_at == NOW


def test_two_episodes_of_one_kind_become_one() -> None:
    twins = [*rounds([fires()]), *rounds([fires()])]
    known = episodes.follow(twins, [fires()], (), NOW, QUIET_CHECKS)
    assert [each.ended_at is None for each in known] == [True, False]


def test_checks_fire_by_their_status() -> None:
    def check(status: str, **options: bool) -> Check:
        return Check("drift", status, 1, 0, "found", "do", **options)  # type: ignore[arg-type]

    severities: dict[str, Severity] = {"warning": "WARNING", "critical": "CRITICAL"}
    for status, severity in severities.items():
        (fired,) = firing.of_checks([check(status)])
        assert (fired.rule, fired.severity) == ("drift", severity)
        assert "found" in fired.message
        assert "do" in fired.message
    assert firing.of_checks([check("ok")]) == []
    assert [each.severity for each in firing.of_checks([check("ok", info=True)])] == ["INFO"]
    unjudged = check("warning", judged=False)
    assert firing.of_checks([unjudged]) == []
    assert firing.unjudged([unjudged, check("ok")]) == {("drift", "{}")}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2h", timedelta(hours=2)),
        ("30m", timedelta(minutes=30)),
        ("1d12h", timedelta(hours=36)),
    ],
)
def test_a_length_of_time_is_read(text: str, expected: timedelta) -> None:
    assert silences.span(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "2",
        "h",
        "-2h",
        "0h",
        "2 h",
        "two hours",
        "9999999d",
        "9999999999d",
        "20000d20000d",
        "1h1h",
        "",
    ],
)
def test_a_wrong_length_of_time_is_named(text: str) -> None:
    with pytest.raises(MonitorError, match="--for"):
        silences.span(text)


def silence(rule: str) -> Silence:
    return Silence(
        id=silences.new_id(), rule=rule, reason="x", by="me", since=NOW, until=NOW + timedelta(1)
    )


def test_a_silence_covers_its_rules_for_its_time(tmp_path: Path) -> None:
    one = silence("drift*")
    silences.add(tmp_path, one, NOW)
    silences.add(tmp_path, silence("disk"), NOW)
    known = silences.read(tmp_path)
    assert silences.is_silent(known, "drift_share", NOW)
    assert silences.is_silent(known, "disk", NOW + timedelta(hours=23))
    assert not silences.is_silent(known, "degraded", NOW)
    assert not silences.is_silent(known, "disk", NOW + timedelta(days=1))
    assert not silences.is_silent(known, "disk", NOW - timedelta(minutes=1))
    silences.remove(tmp_path, one.id, NOW + timedelta(hours=1))
    known = silences.read(tmp_path)
    assert silences.is_silent(known, "drift_share", NOW + timedelta(minutes=59))
    assert not silences.is_silent(known, "drift_share", NOW + timedelta(hours=1))
    with pytest.raises(MonitorError, match=one.id):
        silences.remove(tmp_path, one.id, NOW + timedelta(hours=1))
    (tmp_path / silences.FILE).write_text("torn")
    with pytest.raises(MonitorError, match=silences.FILE):
        silences.read(tmp_path)
