"""`python -m monitor check`, `alerts` and `silence`, as people and cron type them."""

import json
import re
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from apprise import Apprise
from sqlalchemy import Engine, text

from monitor import checking_round
from monitor import settings as monitor_settings
from monitor.alerts import alerting, delivery, episode_store
from monitor.alerts.alerting import Update
from monitor.alerts.episodes import Episode
from monitor.settings import MonitorError, Settings, thresholds
from serve import server_settings
from stages.monitor_params import MonitorParams
from tests.monitor import worlds
from tests.monitor.conftest import Command
from tests.monitor.receivers import Receiver, closed_port, receiver
from tests.projects import ROOT

if TYPE_CHECKING:
    from monitor.measuring import Step

NOW = datetime(2013, 1, 2, 12, tzinfo=UTC)


@pytest.fixture
def server() -> Iterator[Receiver]:
    with receiver() as started:
        yield started


@pytest.fixture
def world(tmp_path: Path, server: Receiver, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(worlds.build(tmp_path))
    monkeypatch.setenv("MONITOR_NOW", NOW.isoformat())
    # A connection that a test leaves open knows its file by this name.
    monkeypatch.setenv("SERVE_VAR", str(tmp_path / "var"))
    monkeypatch.setenv("MONITOR_ALERT_URLS", f"json://{server.url}")
    return tmp_path


def test_a_round_tells_what_health_finds(
    world: Path, command: Command, server: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, printed = command("check")
    assert (code, server.titles) == (0, [])
    assert printed.startswith("health ok: 0 alerts")
    (world / "models/short/card.json").unlink()
    command("check")
    code, printed = command("check")
    assert code == 0
    assert printed.startswith("health critical: 1 alerts go on, 0 began")
    assert server.titles == ["CRITICAL models"]
    assert "models/short/card.json" in server.posts[0][1]["message"]
    code, printed = command("alerts")
    assert code == 0
    assert re.search(r"CRITICAL +models +2013-01-02 12:00 +goes on +2013-01-02 12:00", printed)
    # The database goes: one message more, and the same status of this command.
    monkeypatch.setenv("DATABASE_URL", f"postgresql://me:sesame@127.0.0.1:{closed_port()}/log")
    for _ in range(2):
        code, printed = command("check")
        assert code == 0
    assert re.search("CRITICAL +models .*goes on", command("alerts")[1])
    assert server.titles[1:] == ["CRITICAL prediction_log"]
    assert "sesame" not in str(server.posts) + printed
    monkeypatch.delenv("DATABASE_URL")
    worlds.lock(world)
    for _ in range(3):
        code, printed = command("check")
    assert "0 alerts go on" in printed
    ended = ["ended: CRITICAL models", "ended: CRITICAL prediction_log"]
    assert sorted(server.titles[2:]) == ended
    _, printed = command("alerts")
    assert printed == "no alert goes on\n"
    _, printed = command("alerts", "--all", "--json")
    rows = [json.loads(line) for line in printed.splitlines()]
    assert [row["rule"] for row in rows] == ["prediction_log", "models"]
    assert all(row["ended_at"] and row["sent_at"] and row["end_sent_at"] for row in rows)


def test_a_step_that_fails_is_told_and_the_others_go_on(world: Path, server: Receiver) -> None:
    days: list[date] = []

    def well(_: Engine, __: Settings, ___: MonitorParams, today: date) -> None:
        days.append(today)

    def refuses(*_: object) -> None:
        raise MonitorError("var/monitor/references: no such folder")

    def broken(engine: Engine, *_: object) -> None:
        with engine.connect() as connection:
            connection.execute(text("SELECT * FROM nothing"))

    def wrong(*_: object) -> None:
        raise ZeroDivisionError("division by zero")

    steps: dict[str, Step] = {
        "drift": refuses,
        "labels": broken,
        "performance": wrong,
        "others": well,
    }
    done = checking_round.run(Settings(), thresholds(), steps)
    assert days == [worlds.AS_OF]
    checks = {each.about: each for each in done.health.checks if each.name == "measuring"}
    assert "var/monitor/references" in checks["step=drift"].sentence
    assert "nothing" in checks["step=labels"].sentence
    assert "ZeroDivisionError" in checks["step=performance"].sentence
    assert checks["step=others"].status == "ok"
    titles = [f"WARNING measuring step={name}" for name in ("drift", "labels", "performance")]
    assert sorted(server.titles) == titles
    assert (world / "var/monitor/health.json").exists()


def test_a_database_that_goes_in_the_middle_is_told(
    world: Path, server: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert world.exists()
    real = alerting.update

    def goes(engine: Engine | None, *arguments: Any) -> Update:
        if engine is not None:
            with engine.begin() as connection:
                connection.execute(text("DROP TABLE monitoring_alerts"))
        return real(engine, *arguments)

    monkeypatch.setattr(alerting, "update", goes)
    for _ in range(2):
        checking_round.run(Settings(), thresholds(), {})
    assert server.titles == ["CRITICAL prediction_log"]
    assert "monitoring_alerts" in server.posts[0][1]["message"]


def test_a_round_writes_the_gauges_and_a_full_disk_does_not_end_it(
    world: Path, command: Command, caplog: pytest.LogCaptureFixture
) -> None:
    assert command("check")[0] == 0
    path = world / "var" / "monitor" / "metrics.prom"
    text = path.read_text("utf-8")
    assert 'monitor_health{check="models",horizon="",step=""} 0.0' in text
    measured = re.findall(
        r'^monitor_measured_timestamp_seconds{metric="health"} (.+)$', text, re.MULTILINE
    )
    assert [float(each) for each in measured] == [NOW.timestamp()]
    path.unlink()
    path.mkdir()
    assert command("check")[0] == 0
    assert "metrics.prom" in caplog.text


def test_a_damaged_audit_trail_is_told(world: Path, command: Command, server: Receiver) -> None:
    trail = world / "var" / "audit" / f"{NOW:%Y-%m-%d}.parquet"
    trail.parent.mkdir(parents=True)
    trail.write_bytes(b"half of a file")
    for _ in range(2):
        assert command("check")[0] == 0
    assert server.titles.count("CRITICAL audit_trail") == 1
    assert "CRITICAL prediction_log" not in server.titles
    messages = [body["message"] for _, body in server.posts]
    assert any(trail.name in text and "from a backup" in text for text in messages)
    code, printed = command("health")
    assert (code, "audit_trail" in printed) == (2, True)
    trail.unlink()
    for _ in range(3):
        command("check")
    assert "ended: CRITICAL audit_trail" in server.titles


def test_a_database_that_hangs_in_the_middle_is_told(
    world: Path, server: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert world.exists()
    monkeypatch.setenv("SERVE_LOG_TIMEOUT", "0.3")
    ready = threading.Event()

    def hangs(*_: object) -> dict[str, Episode]:
        ready.wait(10)
        return {}

    monkeypatch.setattr(episode_store, "read", hangs)
    began = time.monotonic()
    checking_round.run(Settings(), thresholds(), {})
    took = time.monotonic() - began
    ready.set()
    assert took < 5
    assert server.titles == ["CRITICAL prediction_log"]
    assert "no answer for 0.9 s" in server.posts[0][1]["message"]


def test_channels_that_fail_are_told_to_the_others(
    world: Path, command: Command, server: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = f"json://127.0.0.1:{closed_port()}"
    monkeypatch.setenv("MONITOR_ALERT_URLS", f"json://{server.url} {away}")
    (world / "models/short/card.json").unlink()
    command("check")
    command("check")
    assert server.titles == ["CRITICAL models", "WARNING alert_channels"]
    assert "2 (json)" in server.posts[1][1]["message"]
    monkeypatch.setenv("MONITOR_ALERT_URLS", f"json://{server.url}")
    for _ in range(3):
        command("check")
    assert server.titles[2:] == ["ended: WARNING alert_channels"]


def test_silences_are_added_listed_and_removed(
    world: Path, command: Command, server: Receiver
) -> None:
    code, printed = command("silence", "--for", "2h", "--rule", "model*", "--reason", "a new disk")
    assert code == 0
    identifier = re.findall(r"silence (\w+): model\*", printed)[0]
    assert "2013-01-02 14:00" in printed
    (world / "models/short/card.json").unlink()
    command("check")
    assert server.titles == []
    _, printed = command("alerts")
    assert "silenced" in printed
    _, printed = command("silence")
    assert re.search(rf"{identifier} +model\* +2013-01-02 14:00 +\S+ +a new disk", printed)
    assert command("silence", "--remove", identifier)[0] == 0
    command("check")
    assert server.titles == ["CRITICAL models"]
    assert command("silence")[1] == "nothing is silent\n"


@pytest.mark.parametrize(
    ("arguments", "phrase"),
    [
        (["--for", "2h"], "--reason"),
        (["--reason", "x"], "--for"),
        (["--for", "soon", "--reason", "x"], "soon"),
        (["--remove", "nobody"], "nobody"),
    ],
)
def test_a_wrong_silence_is_one_line(
    world: Path, command: Command, arguments: list[str], phrase: str
) -> None:
    assert world.exists()
    code, printed = command("silence", *arguments)
    assert (code, printed.count("\n")) == (1, 1)
    assert phrase in printed


def test_the_test_message_says_who_took_it(
    world: Path, command: Command, server: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert world.exists()
    code, printed = command("alerts", "--test")
    assert (code, printed) == (0, "channel 1 (json): took it\n")
    assert server.posts[0][1]["type"] == "info"
    away = f"json://me:sesame@127.0.0.1:{closed_port()}"
    monkeypatch.setenv("MONITOR_ALERT_URLS", f"json://{server.url} {away}")
    code, printed = command("alerts", "--test")
    assert code == 1
    assert "channel 1 (json): took it\n" in printed
    assert "channel 2 (json): " in printed
    assert "1 of 2 channels" in printed
    assert "sesame" not in printed
    monkeypatch.setenv("MONITOR_ALERT_URLS", "")
    code, printed = command("alerts", "--test")
    assert (code, printed.count("\n")) == (1, 1)
    assert "MONITOR_ALERT_URLS" in printed


def test_without_news_apprise_is_not_imported(world: Path) -> None:
    code = (
        "import sys; from monitor import checking_round, settings; "
        "checking_round.run(settings.load(), settings.thresholds(), {}); "
        "heavy = {'apprise', 'evidently', 'dvc', 'sklearn'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=world,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "MONITOR_NOW": NOW.isoformat()},
        check=True,
        timeout=120,
    )
    importers = [
        path.name
        for path in (ROOT / "monitor").rglob("*.py")
        if re.search(r"^\s*(import|from) apprise", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert importers == ["sender.py"]


PAGE = (ROOT / "docs" / "self-healing.md").read_text(encoding="utf-8")


def section(name: str) -> str:
    return PAGE.partition(f"\n## {name}\n")[2].partition("\n## ")[0]


def test_the_commands_of_the_page_run(world: Path, command: Command) -> None:
    assert world.exists()
    blocks = re.findall(
        r"^```sh\n(.*?)^```$", section("Health") + section("Alerts"), re.MULTILINE | re.DOTALL
    )
    lines = [line for block in blocks for line in block.splitlines()]
    assert len(lines) == 6
    for line in lines:
        words = shlex.split(line)
        assert words[:3] == ["python", "-m", "monitor"]
        assert command(*words[3:])[0] == 0


def test_every_check_and_alert_is_on_the_page(world: Path) -> None:
    assert world.exists()

    def well(*_: object) -> None:
        pass

    checks = checking_round.run(Settings(), thresholds(), {"labels": well}).health.checks
    names = {check.name for check in checks}
    assert len(names) == 15
    for place in ("Health", "Runbook"):
        listed = re.findall(r"^\| ((?:`\w+`(?:, )?)+)", section(place), re.MULTILINE)
        assert names <= set(re.findall(r"`(\w+)`", " ".join(listed))), place


def test_server_and_monitor_read_the_channels_of_the_page(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (line,) = re.findall(r"^MONITOR_ALERT_URLS=.*$", section("Alerts"), re.MULTILINE)
    (world / ".env").write_text(f"{line}\nSERVE_PORT=9000\n", encoding="utf-8")
    assert server_settings.load().port == 9000
    monkeypatch.delenv("MONITOR_ALERT_URLS")
    urls = monitor_settings.load().alert_urls.split()
    assert delivery.names(urls) == ["1 (slack)", "2 (mailtos)"]
    assert all(Apprise.instantiate(url) for url in urls)


def test_every_threshold_of_alerts_has_its_default_and_its_reason() -> None:
    table = section("Thresholds").partition("`monitor.alerts`")[2].partition("\n\n")[0]
    listed: dict[str, float] = {}
    for names, values in re.findall(r"^\| (`\w+`.*?) \| (.*?) \|", table, re.MULTILINE):
        numbers = [float(value) for value in values.split(", ") if re.fullmatch(r"[\d.]+", value)]
        keys = re.findall(r"`(\w+)`", names)
        listed |= dict(zip(keys, numbers * (len(keys) // max(1, len(numbers))), strict=False))
    alerts = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["monitor"]["alerts"]
    assert {name: listed.get(name) for name in alerts} == alerts
