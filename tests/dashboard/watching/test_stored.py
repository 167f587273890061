"""What the monitor stored, read from a real log."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa

from dashboard.watching import store_reading, stored_alerts, stored_decisions, time_spans
from dashboard.watching.stored_history import history
from monitor.alerts import outbox
from monitor.alerts.episodes import Episode
from monitor.alerts.outbox import Message, Outbox
from monitor.retraining import decisions
from monitor.retraining.decisions import Decision
from monitor.settings import MonitorError, Settings
from monitor.store import records
from predictions.engine import LogError
from predictions.schema import monitoring_alerts
from tests.monitor import live
from tests.monitor.receivers import closed_port

NOW = datetime(2020, 4, 1, 22, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    monitor_settings = live.settings(tmp_path, NOW)
    live.log(monitor_settings).dispose()
    return monitor_settings


def keep(settings: Settings, at: datetime, name: str, value: float, **tags: str) -> None:
    with records.opened(settings) as engine, records.writing(engine, settings, at) as writer:
        writer.metric(name, value, tags)


def test_history_has_the_last_and_the_greatest_of_each_span(settings: Settings) -> None:
    for minutes, value in ((0, 2.0), (5, 0.0), (70, 1.0)):
        at = NOW - DAY / 2 + timedelta(minutes=minutes)
        keep(settings, at, "health", value, check="models", horizon="short")
    keep(settings, NOW - DAY / 2, "other", 9)
    keep(settings, NOW - 40 * DAY, "health", 2, check="models", horizon="short")
    readings = store_reading.read(history, settings, ("health",), "30 days")
    assert readings.select("value", "greatest").rows() == [(0.0, 2.0), (1.0, 1.0)]
    assert readings["of"].unique().to_list() == ["models"]
    assert readings["horizon"].unique().to_list() == ["short"]
    assert readings["at"][0] == NOW - DAY / 2 + timedelta(minutes=5)
    # A reading a day where years are shown.
    assert store_reading.read(history, settings, ("health",), "all")["value"].to_list() == [
        2.0,
        1.0,
    ]
    assert store_reading.read(history, settings, ("none",), "all").is_empty()


def test_months_of_measurements_are_a_few_hundred_points(settings: Settings) -> None:
    with records.opened(settings) as engine, engine.begin() as connection:
        connection.execute(
            sa.insert(records.TABLES["monitoring_metrics"]),
            [
                {
                    "id": f"{number:08d}",
                    "created_at": NOW - timedelta(minutes=5 * (20_000 - number)),
                    "name": "health",
                    "value": 0.0,
                    "tags": '{"check": "disk"}',
                }
                for number in range(20_000)
            ],
        )
    readings = store_reading.read(history, settings, ("health",), "30 days")
    assert 700 <= readings.height <= 30 * 24 + 1
    assert store_reading.read(history, settings, ("health",), "1 year").height in (70, 71)


def test_a_log_that_is_away_says_so_and_is_asked_anew(tmp_path: Path) -> None:
    missing = live.settings(tmp_path, NOW)
    assert "no prediction log" in str(store_reading.problem(missing))
    url = f"postgresql://nobody@127.0.0.1:{closed_port()}/none"
    refused = live.settings(tmp_path, NOW, database_url=url)
    with pytest.raises(LogError, match=r"127\.0\.0\.1"):
        store_reading.read(history, refused, ("health",), "1 day")
    live.log(missing).dispose()
    store_reading._problem.clear()
    assert store_reading.problem(missing) is None


def episode(number: int, **values: object) -> Episode:
    content = {
        "id": f"e{number}",
        "rule": "drift_share",
        "tags": '{"horizon": "short"}',
        "severity": "WARNING",
        "message": "<b>half</b> of the features",
        "started_at": NOW - 3 * DAY,
        "seen_at": NOW - 2 * DAY,
    }
    return Episode.model_validate(content | values)


def test_episodes_of_a_span_are_those_that_went_on_in_it(settings: Settings) -> None:
    old = episode(1, started_at=NOW - 90 * DAY, ended_at=NOW - 80 * DAY)
    across = episode(2, started_at=NOW - 90 * DAY, ended_at=NOW - DAY)
    with records.opened(settings) as engine, records.writing(engine, settings, NOW) as writer:
        for each in (old, across, episode(3)):
            writer.add(monitoring_alerts, each.model_dump(exclude={"quiet"}))
    episodes = store_reading.read(stored_alerts.episodes, settings, "30 days")
    assert [each.id for each in episodes] == ["e3", "e2"]
    assert len(store_reading.read(stored_alerts.episodes, settings, "all")) == 3
    drawn = stored_alerts.spans(episodes, NOW - 30 * DAY, NOW)
    assert drawn["row"].unique().to_list() == ["drift_share horizon=short"]
    assert set(drawn["begin"]) == {NOW - 30 * DAY, NOW - 3 * DAY}
    assert set(drawn["end"]) == {NOW - DAY, NOW}


def test_who_was_told_and_who_waits_is_said_without_a_secret(tmp_path: Path) -> None:
    url = "json://user:secret@127.0.0.1/hook"
    monitor_settings = live.settings(tmp_path, NOW, alert_urls=url)
    names = stored_alerts.channels(monitor_settings)
    assert list(names.values()) == ["1 (json)"]
    message = Message(
        id="m",
        episode="e1",
        rule="drift_share",
        kind="begin",
        severity="WARNING",
        title="t",
        body="b",
        created_at=NOW,
        waiting=[outbox.key_of(url)],
    )
    box = Outbox(messages=[message])
    assert stored_alerts.delivery_state(episode(1), box, names) == "waits for channel 1 (json)"
    assert stored_alerts.delivery_state(episode(2), box, names) == "nobody was told"
    state = stored_alerts.delivery_state(
        episode(2, sent_at=NOW, end_sent_at=NOW + HOUR), box, names
    )
    assert state == "told 2020-04-01 22:00 UTC; end told 2020-04-01 23:00 UTC"
    states = stored_alerts.states(monitor_settings, box)
    assert states == ["1 (json): no failure known; 1 messages wait for it"]


def decision(number: int, outcome: str, **document: object) -> Decision:
    return Decision(
        id=f"2020040{number}T220000-drift",
        created_at=NOW + number * DAY,
        reason="drift",
        outcome=outcome,
        because="lane refit: it <i>passed</i>",
        lane="refit",
        challenger="c" * 40,
        document=document,
    )


GATE = {
    "name": "brier",
    "direction": "at most",
    "effect": None,
    "threshold": 0.01,
    "answer": "inconclusive",
    "sentence": "too few rows",
}


def test_decisions_have_their_gates_and_what_followed(settings: Settings) -> None:
    history = [{"outcome": "shadow", "because": "few labels", "until": "2020-04-02T22:00:00"}]
    first = decision(1, "promoted", gates={"short": [GATE]}, history=history)
    model = {"commit": "c" * 40, "model_md5": live.CHALLENGER_MD5, "version": "v1.1.0"}
    with records.opened(settings) as engine, records.writing(engine, settings, NOW) as writer:
        for each in (first, decision(2, "rejected")):
            decisions.store(writer, each)
        decisions.placed(writer, first, "production", "short", model)
    known = store_reading.read(stored_decisions.stored, settings)
    assert [each.outcome for each in known.decisions] == ["rejected", "promoted"]
    gates = stored_decisions.gates(known.decisions[1])
    assert gates.row(0, named=True) == {
        "horizon": "short",
        "gate": "brier",
        "answer": "? inconclusive",
        "effect": None,
        "": "at most",
        "threshold": 0.01,
        "why": "too few rows",
    }
    assert stored_decisions.gates(known.decisions[0]).is_empty()
    shadow, placed, after = stored_decisions.followed(known.decisions[1], known)
    assert "few labels" in shadow
    assert "v1.1.0 was put into production" in placed
    assert "20200402T220000-drift, rejected" in after
    assert stored_decisions.timeline(known.decisions)["kind"].to_list() == ["rejected", "promoted"]


def test_a_model_is_in_production_until_the_next_one() -> None:
    row = {
        "created_at": NOW,
        "horizon": "short",
        "place": "production",
        "version": "v1",
        "commit": "c",
        "model_md5": "m",
        "decision_id": None,
    }
    later = row | {"created_at": NOW + DAY, "version": None}
    beside = row | {"place": "shadow"}
    places = pl.DataFrame([row, beside, later], schema=stored_decisions.PLACES)
    spans = stored_decisions.production(places, NOW + 3 * DAY)
    serving = spans.filter(kind="production")
    assert serving["end"].to_list() == [NOW + DAY, NOW + 3 * DAY]
    moment = spans.filter(kind="shadow").row(0, named=True)
    assert moment["begin"] == moment["end"]
    assert "by a person" in moment["says"]


def test_without_the_database_decisions_come_from_their_files(tmp_path: Path) -> None:
    assert stored_decisions.of_files(tmp_path).decisions == ()
    folder = tmp_path / "decisions"
    folder.mkdir()
    for each in (decision(1, "promoted"), decision(2, "rejected")):
        (tmp_path / each.path).write_text(each.text())
    assert [each.outcome for each in stored_decisions.of_files(tmp_path).decisions] == [
        "rejected",
        "promoted",
    ]
    (folder / "broken.json").write_text("{")
    with pytest.raises(MonitorError, match=r"broken\.json"):
        stored_decisions.of_files(tmp_path)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "less than a minute"), (60, "1 minute"), (7300, "2 hours"), (86_400 * 3, "3 days")],
)
def test_lengths_of_time_are_said_in_their_largest_unit(seconds: int, words: str) -> None:
    assert time_spans.in_words(timedelta(seconds=seconds)) == words
