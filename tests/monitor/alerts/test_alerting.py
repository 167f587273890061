"""Alerts from the finding to the message, with a real database and a real webhook."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from sqlalchemy import Engine

from monitor.alerts import alerting, episode_store, outbox, silences
from monitor.alerts.alerting import Update
from monitor.alerts.episodes import Episode
from monitor.alerts.firing import Firing, Severity
from monitor.alerts.silences import Silence
from monitor.settings import Settings
from monitor.store import records
from predictions import engine as engines
from predictions import migrate
from stages.monitor_params import MonitorParams
from tests.monitor.receivers import Receiver, receiver
from tests.predictions.postgres import Postgres
from tests.projects import ROOT

START = datetime(2013, 1, 2, 12, tzinfo=UTC)

_SECTION = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["monitor"]
PARAMS = MonitorParams.model_validate({**_SECTION, "alerts": {**_SECTION["alerts"], "retries": 1}})

AWAY = Firing("prediction_log", {}, "CRITICAL", "cannot be used")
MODELS = Firing("models", {}, "CRITICAL", "missing: models/short/model.onnx")


def drift(severity: Severity = "WARNING") -> Firing:
    return Firing("drift_share", {"horizon": "short"}, severity, "30% have drifted")


class Monitor:
    """Rounds of five minutes each, in which alerts are updated.

    Attributes:
        minutes: since `START`.
        urls: of channels.
    """

    def __init__(self, folder: Path, url: str, *urls: str) -> None:
        self.folder = folder
        self.url = url
        self.urls = urls
        self.minutes = 0

    def settings(self) -> Settings:
        """As of this round."""
        return Settings(
            var=self.folder,
            now=START + timedelta(minutes=self.minutes),
            alert_urls=" ".join(self.urls),
            database_url=self.url,
        )

    def round(self, *firing: Firing, away: bool = False) -> Update:
        """The next one; without `away` the table is written."""
        self.minutes += 5
        if away:
            return alerting.update(None, self.settings(), PARAMS, firing)
        with self.log() as engine:
            return alerting.update(engine, self.settings(), PARAMS, firing)

    @contextmanager
    def log(self) -> Iterator[Engine]:
        """The database, through a connection of its own as a new process has."""
        engine = engines.connect(self.url)
        try:
            migrate.ensure(engine)
            yield engine
        finally:
            engine.dispose()

    def rows(self) -> list[Episode]:
        """Of the table, the oldest first."""
        with self.log() as engine, engine.connect() as connection:
            return episode_store.listed(connection, every=True)[::-1]


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    yield server
    server.remove()


@pytest.fixture
def server() -> Iterator[Receiver]:
    with receiver() as started:
        yield started


@pytest.fixture
def monitor(tmp_path: Path, server: Receiver) -> Monitor:
    url = f"sqlite:///{tmp_path / 'predictions.db'}"
    return Monitor(tmp_path, url, f"json://{server.url}")


def titles(server: Receiver) -> Sequence[str]:
    """Without what comes after the rule."""
    return [title.replace(" horizon=short", "") for title in server.titles]


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_an_episode_is_told_once_and_its_end_once(
    monitor: Monitor, server: Receiver, database: str, postgres: Postgres
) -> None:
    if database == "postgresql":
        monitor.url = postgres.new_database()
        empty = engines.connect(monitor.url)
        migrate.upgrade(empty)
        empty.dispose()
    for _ in range(4):
        monitor.round(drift(), MODELS)
    assert sorted(server.titles) == ["CRITICAL models", "WARNING drift_share horizon=short"]
    assert "30% have drifted" in server.posts[0][1]["message"] + server.posts[1][1]["message"]
    for _ in range(4):
        monitor.round(MODELS)
    assert server.titles[2:] == ["ended: WARNING drift_share horizon=short"]
    ended = next(row for row in monitor.rows() if row.rule == "drift_share")
    assert ended.started_at == START + timedelta(minutes=5)
    assert ended.seen_at == START + timedelta(minutes=20)
    assert ended.ended_at == ended.end_sent_at == START + timedelta(minutes=35)
    assert ended.sent_at == ended.started_at
    assert ended.tags == '{"horizon": "short"}'
    # The audit trail has what the table has.
    with monitor.log() as engine:
        assert records.restore(engine, monitor.folder / "audit")["monitoring_alerts"] == 0


def test_a_severity_that_rises_is_told(monitor: Monitor, server: Receiver) -> None:
    for severity in ("WARNING", "WARNING", "CRITICAL", "CRITICAL", "WARNING"):
        monitor.round(drift(severity))
    assert titles(server) == ["WARNING drift_share", "CRITICAL drift_share"]
    assert [row.severity for row in monitor.rows()] == ["CRITICAL"]


def test_while_the_log_is_away_what_is_critical_is_sent_once(
    monitor: Monitor, server: Receiver
) -> None:
    monitor.round(drift(), MODELS)
    for _ in range(5):
        monitor.round(AWAY, MODELS, drift(), away=True)
    # Neither what was told before nor what is not critical, and nothing ends.
    assert titles(server)[2:] == ["CRITICAL prediction_log"]
    assert len(monitor.rows()) == 2
    for _ in range(3):
        monitor.round(drift())
    assert sorted(titles(server)[3:]) == [
        "ended: CRITICAL models",
        "ended: CRITICAL prediction_log",
    ]
    row = monitor.rows()[2]
    assert (row.rule, row.started_at) == ("prediction_log", START + timedelta(minutes=10))
    assert row.sent_at == row.started_at
    assert row.ended_at == START + timedelta(minutes=45)


def test_what_could_not_be_sent_is_sent_by_a_later_round(
    monitor: Monitor, server: Receiver
) -> None:
    server.status = 500
    update = monitor.round(drift())
    assert update.waiting == 1
    assert "500" in update.problems[0]
    assert monitor.rows()[0].sent_at is None
    server.status = 200
    # A channel that failed is left alone for five minutes, then it is tried.
    monitor.round(drift())
    monitor.round(drift())
    assert titles(server)[-1] == "WARNING drift_share"
    assert monitor.rows()[0].sent_at == START + timedelta(minutes=10)
    assert len(server.posts) == 2 + 1


def test_an_episode_that_ended_untold_is_told_in_one_message(
    monitor: Monitor, server: Receiver
) -> None:
    server.status = 500
    for fired in ([drift()], [], [], []):
        monitor.round(*fired)
    server.posts.clear()
    server.status = 200
    monitor.round()
    monitor.round()
    assert titles(server) == ["ended: WARNING drift_share"]
    assert "from 2013-01-02 12:05 to 2013-01-02 12:20" in server.posts[0][1]["message"]
    (row,) = monitor.rows()
    assert row.sent_at == row.end_sent_at == START + timedelta(minutes=25)


def test_what_ended_a_day_ago_is_no_news(monitor: Monitor, server: Receiver) -> None:
    urls, monitor.urls = monitor.urls, ()
    for fired in ([drift(), MODELS], [MODELS], [MODELS], [MODELS]):
        monitor.round(*fired)
    monitor.minutes += 24 * 60
    monitor.urls = urls
    monitor.round(MODELS)
    # What still goes on is.
    assert server.titles == ["CRITICAL models"]
    assert [row.sent_at is None for row in monitor.rows() if row.rule == "drift_share"] == [True]


def test_a_channel_that_was_away_gets_what_the_other_got_before(
    monitor: Monitor, server: Receiver
) -> None:
    with receiver() as second:
        monitor.urls = (*monitor.urls, f"json://{second.url}")
        second.status = 503
        for fired in ([drift()], [], [], []):
            monitor.round(*fired)
        second.posts.clear()
        second.status = 200
        monitor.minutes += 5
        monitor.round()
        expected = ["WARNING drift_share", "ended: WARNING drift_share"]
        assert titles(second) == expected
    assert titles(server) == expected


def silenced(monitor: Monitor, rule: str, minutes: int) -> None:
    now = monitor.settings().clock
    new = Silence(
        id=silences.new_id(),
        rule=rule,
        reason="the feed moves",
        by="me",
        since=now,
        until=now + timedelta(minutes=minutes),
    )
    silences.add(monitor.settings().folder, new, now)


def test_what_is_silenced_is_recorded_and_sent_only_if_it_goes_on(
    monitor: Monitor, server: Receiver
) -> None:
    silenced(monitor, "drift*", 30)
    long = Firing("drift_share", {"horizon": "long"}, "WARNING", "also")
    for fired in ([drift(), long, MODELS], [long], [long], [long], [long]):
        monitor.round(*fired)
    assert server.titles == ["CRITICAL models", "ended: CRITICAL models"]
    assert len(monitor.rows()) == 3
    for _ in range(3):
        monitor.round(long)
    assert server.titles[2:] == ["WARNING drift_share horizon=long"]


def test_an_event_is_told_once(monitor: Monitor, server: Receiver) -> None:
    event = Firing("rollback", {"horizon": "short"}, "WARNING", "back to v1.2.0")
    with monitor.log() as engine:
        alerting.announce(engine, monitor.settings(), event)
    monitor.round()
    monitor.round()
    assert server.titles == ["WARNING rollback horizon=short"]
    (row,) = monitor.rows()
    assert row.sent_at is not None
    assert row.end_sent_at is not None


@pytest.mark.parametrize("lost", ["database", "outbox", "torn outbox"])
def test_a_lost_file_ends_no_episode_and_tells_nothing_twice(
    monitor: Monitor, server: Receiver, lost: str
) -> None:
    monitor.round(drift())
    file = monitor.settings().folder / outbox.FILE
    if lost == "database":
        for path in monitor.folder.glob("predictions.db*"):
            path.unlink()
    elif lost == "outbox":
        file.unlink()
    else:
        file.write_text('{"episodes": [')
    monitor.round(drift())
    assert titles(server) == ["WARNING drift_share"]
    (row,) = monitor.rows()
    assert row.started_at == START + timedelta(minutes=5)
    assert row.sent_at is not None


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize(
    ("step", "nth"),
    [
        ("alerting._keep", 1),
        ("alerting._tell", 1),
        ("outbox.write", 1),
        ("delivery.deliver", 1),
        ("alerting._keep", 2),
        ("outbox.write", 3),
    ],
)
def test_a_round_that_is_killed_is_finished_by_the_next(
    monitor: Monitor,
    server: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    nth: int,
) -> None:
    module, name = step.split(".")
    owner = getattr(alerting, module, alerting)
    whole: Callable[..., object] = getattr(owner, name)
    calls: list[int] = []

    def dies(*arguments: object, **named: object) -> object:
        calls.append(1)
        if len(calls) == nth:
            raise Killed
        return whole(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, dies)
        with pytest.raises(Killed):
            monitor.round(drift())
    for fired in ([drift()], [], [], [], []):
        monitor.round(*fired)
    assert titles(server) == ["WARNING drift_share", "ended: WARNING drift_share"]
    (row,) = monitor.rows()
    assert None not in (row.sent_at, row.ended_at, row.end_sent_at)


def test_where_nothing_can_be_kept_people_are_told_all_the_same(
    monitor: Monitor, server: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    (monitor.settings().folder / outbox.FILE / "in the way").mkdir(parents=True)
    monitor.round(AWAY, away=True)
    assert server.titles == ["CRITICAL prediction_log"]
    assert outbox.FILE in caplog.text
    # The table knows what was told.
    monitor.round(drift())
    monitor.round(drift())
    assert titles(server)[1:] == ["WARNING drift_share"]


def test_two_rounds_at_once_tell_once(monitor: Monitor, server: Receiver) -> None:
    with outbox.locked(monitor.settings().folder) as is_free:
        assert is_free
        assert monitor.round(drift()) == Update()
    assert server.posts == []
    monitor.round(drift())
    assert len(server.posts) == 1


def test_a_clock_that_goes_back_keeps_the_episode(monitor: Monitor, server: Receiver) -> None:
    monitor.round(drift())
    monitor.minutes -= 24 * 60
    for fired in ([drift()], [], [], []):
        monitor.round(*fired)
    assert titles(server) == ["WARNING drift_share", "ended: WARNING drift_share"]
    (row,) = monitor.rows()
    assert row.started_at == row.ended_at


def test_the_file_holds_no_url_and_is_closed_to_others(monitor: Monitor, server: Receiver) -> None:
    server.status = 500
    monitor.urls = (f"json://me:sesame@{server.url}/sesame",)
    monitor.round(drift())
    file = monitor.settings().folder / outbox.FILE
    assert file.stat().st_mode & 0o777 == 0o600
    assert "sesame" not in file.read_text()
    assert server.url not in file.read_text()
