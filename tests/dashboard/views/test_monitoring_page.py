"""The page Monitoring in all states, without a browser."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.plain_text import plain
from dashboard.views import monitoring_view
from monitor.alerts import outbox
from monitor.alerts.episodes import Episode
from monitor.alerts.outbox import Outbox
from monitor.retraining import decisions
from monitor.retraining.decisions import Decision
from monitor.settings import Settings
from monitor.store import records
from predictions.schema import monitoring_alerts
from stages.common import tables
from tests.dashboard.views import panels
from tests.monitor import live
from tests.monitor.receivers import closed_port
from tests.projects import ROOT

NOW = datetime(2020, 4, 1, 22, tzinfo=UTC)
DAY = timedelta(days=1)
FOREIGN = "<img src=x onerror=alert(1)> **bold** $x$"

Page = Callable[..., AppTest]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Of a project in the test's own folder, which has the params and the runbook of this one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    for name in ("params.yaml", "docs/self-healing.md"):
        (tmp_path / name).symlink_to(ROOT / name)
    return live.settings(tmp_path, NOW)


@pytest.fixture
def page() -> Page:
    """Shows the page, or a tab of it."""

    def opened(settings: Settings, tab: str = "", *, may_act: bool = True) -> AppTest:
        who = replace(
            panels.context(settings.var.parent, may_act=may_act),
            monitor=settings,
            exchange_zone=ZoneInfo("America/New_York"),
            viewer_zone=ZoneInfo("Asia/Kolkata"),
        )
        return panels.panel(monitoring_view.show, who, **({"tab": tab} if tab else {}))

    return opened


def text(app: AppTest) -> str:
    """Every sentence of a page; that there was no exception is asserted."""
    assert not app.exception
    kinds = (app.markdown, app.text, app.caption, app.error, app.code, app.title)
    raw = "\n".join(each.value for kind in kinds for each in kind)
    return re.sub(r"\\(.)", r"\1", raw)


def frames(app: AppTest) -> str:
    return "\n".join(each.value.to_csv() for each in app.dataframe)


def health(settings: Settings, *checks: tuple[str, str, str, str]) -> None:
    document = {
        "at": (NOW - timedelta(minutes=2)).isoformat(),
        "status": "ok",
        "checks": [
            {
                "name": name,
                "tags": {"horizon": "short"},
                "status": status,
                "value": None,
                "threshold": None,
                "sentence": sentence,
                "remedy": remedy,
            }
            for name, status, sentence, remedy in checks
        ],
    }
    write(settings.folder / "health.json", document)


def write(path: Path, document: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), encoding="utf-8")


def test_where_the_monitor_never_ran_the_page_says_what_to_do(
    settings: Settings, page: Page
) -> None:
    for tab in ("Health", "Decisions", "Log"):
        page_text = text(page(settings, tab))
        assert "python -m monitor run" in page_text
        assert "no prediction log" in page_text


def test_empty_tables_are_no_error(settings: Settings, page: Page) -> None:
    live.log(settings).dispose()
    next_steps = {
        "Health": "python -m monitor check",
        "Drift": "python -m monitor drift",
        "Performance": "python -m monitor performance",
        "Alerts": "python -m monitor silence",
        "Decisions": "python -m monitor retrain",
        "Server": "make serve",
        "Log": "make up",
    }
    for tab, step in next_steps.items():
        app = page(settings, tab)
        page_text = text(app)
        assert not app.error
        assert "not checked anything here yet" in page_text
        assert step in page_text


def test_while_the_database_is_away_the_files_are_shown(settings: Settings, page: Page) -> None:
    url = f"postgresql://nobody:secret@127.0.0.1:{closed_port()}/none"
    away = settings.model_copy(update={"database_url": url})
    health(away, ("prediction_log", "critical", "does not answer", "start the database"))
    settings.folder.mkdir(parents=True, exist_ok=True)
    outbox.write(away.folder, Outbox(episodes=[episode()]))
    decision = decided()
    write(Path(decision.path), decision.content())
    for tab in ("Health", "Alerts", "Decisions"):
        page_text = text(page(away, tab))
        assert "cannot be read" in page_text
        assert "secret" not in page_text
        assert "start the database" in page_text
        assert "drift_share" in page_text
        if tab == "Decisions":
            assert "decisions/" in page_text
            assert "gates passed" in page_text


def episode(**values: object) -> Episode:
    content = {
        "id": "e1",
        "rule": "drift_share",
        "tags": '{"horizon": "short"}',
        "severity": "WARNING",
        "message": f"{FOREIGN}. To do: mend the feed",
        "started_at": NOW - 3 * DAY,
        "seen_at": NOW,
    }
    return Episode.model_validate(content | values)


def decided() -> Decision:
    gate = {
        "name": "brier",
        "direction": "at most",
        "effect": 0.002,
        "threshold": 0.01,
        "answer": "inconclusive",
        "sentence": "too few rows",
    }
    return Decision(
        id="20200331T220000-manual",
        created_at=NOW - DAY,
        reason="manual",
        outcome="shadow",
        because=f"all gates passed but one {FOREIGN}",
        document={"gates": {"short": [gate]}, "asked": {"by": "ann"}},
    )


@pytest.fixture
def watched(settings: Settings) -> Settings:
    """What a monitor has stored that ran for some days."""
    live.log(settings).dispose()
    health(
        settings,
        ("models", "ok", "7 files have the bytes of dvc.lock", ""),
        ("drift_share", "warning", "half drifted", "mend the feed"),
        ("disk", "critical", f"1% free {FOREIGN}", "free some space"),
    )
    with records.opened(settings) as engine:
        for day in range(3):
            at = NOW - day * DAY
            with records.writing(engine, settings, at) as writer:
                tags = {"horizon": "short"}
                writer.metric("health", float(day), tags | {"check": "drift_share"})
                writer.metric("drift_share", 0.5, tags)
                writer.metric("drift_p", 0.001, tags | {"feature": "slow"})
                for name in ("performance_crps", "performance_coverage", "degradation_evidence"):
                    writer.metric(name, 1.5, tags | {"model": "abcdef12"})
                writer.metric("label_coverage", 0.9, tags)
        with records.writing(engine, settings, NOW) as writer:
            writer.add(monitoring_alerts, episode().model_dump(exclude={"quiet"}))
            decisions.store(writer, decided())
            model = {"commit": "c" * 40, "model_md5": "d" * 32}
            decisions.placed(writer, decided(), "shadow", "short", model)
    feature = {
        "name": "slow",
        "distance": 0.3,
        "p": 0.001,
        "relation": None,
        "relation_p": 1.0,
        "level": 0.4,
        "level_p": 0.5,
        "missing": 0.0,
        "drifted": True,
        "histogram": {"low": 0, "high": 1, "reference": [1] * 20, "window": [2] * 20},
    }
    drift = {
        "horizon": "short",
        "rows": 60,
        "first": "2020-01-02",
        "last": "2020-03-31",
        "drifted": ["slow"],
        "alarm": True,
        "p": 0.01,
        "problem": None,
        "comparison": {"features": [feature], "p": 0.01, "level": 0.02, "independent": 30},
    }
    write(settings.folder / "drift/short.json", drift)
    score = {"live": 1.5, "interval": [1.0, 2.0], "held_out": 1.2, "yardstick": 1.4}
    performance = {
        "horizon": "short",
        "rows": 60,
        "dates": 20,
        "first": "2020-01-02",
        "last": "2020-03-31",
        "scores": {"crps": score},
        "degraded": False,
        "needed": 20.0,
        "verdict": "short: model abcdef12 is not found degraded",
        "remarks": [],
        "problem": None,
    }
    write(settings.folder / "performance/short.json", performance)
    return settings


def test_what_is_wrong_comes_first_with_since_when_and_what_to_do(
    watched: Settings, page: Page
) -> None:
    app = page(watched)
    page_text = text(app)
    assert "alerts that go on: 1" in page_text
    assert "2020-03-29 18:00 EDT" in page_text
    assert "3 days" in page_text
    assert "mend the feed" in page_text
    # The runbook of drift_share in docs/self-healing.md.
    assert "many features are not as in training" in page_text
    # A check without an alert is there too, and the alert's own check is not there twice.
    assert "no alert yet" in page_text
    assert page_text.count("no alert yet") == 1
    assert "free some space" in page_text
    # Text of others is neither HTML nor Markdown.
    raw = "".join(each.value for each in app.markdown)
    assert plain(FOREIGN) in raw
    assert FOREIGN not in raw


def test_every_tab_shows_what_is_stored(watched: Settings, page: Page) -> None:
    path = watched.var / "log/up.log"
    path.parent.mkdir(parents=True)
    path.write_text(f'2020-04-01T22:00:00.000Z monitor | error: "{FOREIGN}"\n')
    expected = {
        "Health": ("History of the checks", "7 files have the bytes"),
        "Drift": ("Each feature over time", "! drifted"),
        "Performance": ("crps, live", ""),
        "Alerts": ("When each alert went on", "goes on"),
        "Decisions": ("by ann", "? inconclusive"),
        "Server": ("no answer from the server at", ""),
        "Log": ("Lines that match: all 1, of 1 kB", "error: "),
    }
    for tab, (sentence, cell) in expected.items():
        app = page(watched, tab)
        assert not app.error
        assert sentence in text(app)
        assert cell in frames(app)


def test_a_monitor_that_stopped_is_said_not_hidden(watched: Settings, page: Page) -> None:
    later = watched.model_copy(update={"now": NOW + DAY})
    page_text = text(page(later))
    assert "the monitor does not run" in page_text


def test_only_holders_of_an_admin_key_see_the_counters(watched: Settings, page: Page) -> None:
    page_text = text(page(watched, "Server", may_act=False))
    assert "--role admin" in page_text
    assert "does not answer" not in page_text


def test_a_damaged_document_is_one_line_and_the_rest_goes_on(watched: Settings, page: Page) -> None:
    with tables.replacing(watched.folder / "drift/short.json") as broken:
        broken.write_text("{")
    app = page(watched, "Drift")
    assert "python -m monitor check" in text(app)
    assert "alerts that go on: 1" in text(app)


def test_all_is_well_says_so(settings: Settings, page: Page) -> None:
    live.log(settings).dispose()
    health(settings, ("models", "ok", "7 files have the bytes of dvc.lock", ""))
    assert "nothing is wrong" in text(page(settings))
