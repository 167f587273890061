"""The page Home before a real server: forecasts, states, production, and the last decision."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import streamlit as st
from fastapi.testclient import TestClient

from dashboard.overview.newest_forecasts import Newest, newest_forecasts
from dashboard.page_context import Context
from dashboard.views import home_view
from dashboard.views.home import forecast_tables
from monitor.alerts import outbox
from monitor.alerts.episodes import Episode
from monitor.alerts.outbox import Outbox
from monitor.retraining.decisions import Decision
from tests.dashboard.views.panels import asking, context, panel, texts
from tests.histories import Repository


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A repository in which nothing was promoted, decided or measured."""
    st.cache_data.clear()
    monkeypatch.chdir(tmp_path)
    repository = Repository(tmp_path)
    (tmp_path / "file").write_text("one")
    repository.commit(None, "One")
    return repository


@pytest.fixture
def viewer(here: Repository, app: TestClient) -> Context:
    return replace(context(here.folder), server=asking(app))


def test_the_table_has_the_logged_forecast_of_every_symbol(viewer: Context) -> None:
    page = panel(home_view.show, viewer)
    tables = [table.value for table in page.dataframe]
    logged = viewer.server.get("/predictions", limit=100)["predictions"]
    for horizon, table in zip(("short", "long"), tables, strict=True):
        of_horizon = {row["symbol"]: row for row in logged if row["horizon"] == horizon}
        assert list(table["symbol"]) == ["AAPL", "GOOG", "IBM", "MSFT"]
        for row in table.to_dict("records"):
            answer = of_horizon[row["symbol"]]
            assert row["return"] == pytest.approx(100 * answer["predicted_return"])
            assert row["probability"] == pytest.approx(100 * answer["probability_of_rise"])
            assert row["interval"] == (
                f"{100 * answer['interval']['lower_return']:+.2f} .. "
                f"{100 * answer['interval']['upper_return']:+.2f}"
            )
            assert (row["target_date"], row["state"]) == (answer["target_date"], "")
    assert len(page.get("plotly_chart")) == 2


def test_a_symbol_with_too_few_bars_hides_no_other(viewer: Context, app: TestClient) -> None:
    service = app.app.state.service  # type: ignore[attr-defined]
    former = service.forecaster.bundle
    young = former.rows["GOOG"]
    unknown = {name: np.full_like(rows, np.nan) for name, rows in young.features.items()}
    rows = {**former.rows, "GOOG": replace(young, features=unknown)}
    service._swapped(replace(former, rows=rows))
    try:
        page = panel(home_view.show, viewer)
        version = viewer.server.get("/version")
        assert len(newest_forecasts(viewer.server, version).refused) == 2
    finally:
        service._swapped(former)
    assert [list(table.value["symbol"]) for table in page.dataframe] == [
        ["AAPL", "IBM", "MSFT"]
    ] * 2
    assert "Without a forecast: short: GOOG: too few bars for" in texts(page)


def test_every_viewer_sees_the_same_logged_forecasts(viewer: Context) -> None:
    version = viewer.server.get("/version")
    first = newest_forecasts(viewer.server, version)
    before = len(viewer.server.get("/predictions", limit=1000)["predictions"])
    panel(home_view.show, viewer)
    assert newest_forecasts(viewer.server, version).table.equals(first.table)
    assert len(viewer.server.get("/predictions", limit=1000)["predictions"]) == before


def test_a_part_of_a_name_in_the_address_or_the_box_chooses_symbols(viewer: Context) -> None:
    page = panel(home_view.show, viewer, symbols="goo")
    assert [list(table.value["symbol"]) for table in page.dataframe] == [["GOOG"], ["GOOG"]]
    page.text_input(key="symbols").set_value("M").run()
    assert [list(table.value["symbol"]) for table in page.dataframe] == [["IBM", "MSFT"]] * 2
    page.text_input(key="symbols").set_value("**none**").run()
    assert "**none**" in "\n".join(str(each.value) for each in page.text)


def test_nothing_known_is_said_as_such_with_what_to_do(viewer: Context) -> None:
    page_text = texts(panel(home_view.show, viewer))
    assert "nothing is known of models, data, drift, scheduler" in page_text
    assert "python -m monitor check" in page_text
    assert "Nothing was promoted yet" in page_text


def test_what_is_wrong_comes_first_with_its_remedy(viewer: Context) -> None:
    check = {"name": "models", "tags": {}, "status": "critical", "value": 1, "threshold": 0}
    check |= {"sentence": "1 file is <b>missing</b>", "remedy": "dvc checkout"}
    folder = viewer.monitor.folder
    folder.mkdir(parents=True)
    report = {"at": datetime.now(UTC).isoformat(), "checks": [check]}
    (folder / "health.json").write_text(json.dumps(report))
    page = panel(home_view.show, viewer)
    assert "Look at models" in page.markdown[0].value
    assert "1 file is <b>missing</b>" in [each.value for each in page.text]
    assert "To do: dvc checkout" in [each.value for each in page.text]
    report["at"] = (datetime.now(UTC) - timedelta(hours=2)).isoformat()
    report["checks"] = [{**check, "status": "ok"}]
    (folder / "health.json").write_text(json.dumps(report))
    assert "Look at models" in panel(home_view.show, viewer).markdown[0].value


def test_alerts_that_go_on_are_named_and_then_all_is_not_well(viewer: Context) -> None:
    at = datetime(2012, 3, 9, 22, tzinfo=UTC)
    worse = Episode(
        id="1",
        rule="degraded",
        tags='{"horizon": "short"}',
        severity="CRITICAL",
        message="worse than its hold-out",
        started_at=at,
        seen_at=at,
    )
    alerts = [
        worse,
        worse.model_copy(update={"id": "2", "rule": "model_age", "ended_at": at}),
        worse.model_copy(update={"id": "3", "rule": "drift_alarm", "severity": "INFO"}),
    ]
    viewer.monitor.folder.mkdir(parents=True)
    outbox.write(viewer.monitor.folder, Outbox(episodes=alerts))
    page_text = texts(panel(home_view.show, viewer))
    assert "Look at Monitoring" in page_text
    assert "Alerts that go on: degraded horizon=short. Monitoring says since when" in page_text
    assert "Nothing is wrong" not in page_text


def test_production_follows_the_tags_and_a_roll_back(here: Repository, viewer: Context) -> None:
    first = here.git("rev-parse", "HEAD")
    (here.folder / "file").write_text("two")
    here.commit(None, "Two")
    second = here.git("rev-parse", "HEAD")
    for number, (version, commit) in enumerate((("v1.0.0", first), ("v1.1.0", second)), 1):
        here.git("tag", "-a", "-m", version, f"short@{version}", commit)
        here.git("tag", "-a", "-m", "promoted", f"short#production#{number}", commit)
    assert f"short v1.1.0 ({second[:7]}) is in production since" in texts(
        panel(home_view.show, viewer)
    )
    here.git("tag", "-a", "-m", "back\n\nRolled-back: v1.1.0", "short#production#3", first)
    st.cache_data.clear()
    assert f"short v1.0.0 ({first[:7]}) is in production since" in texts(
        panel(home_view.show, viewer)
    )


def test_the_last_decision_is_one_sentence(here: Repository, viewer: Context) -> None:
    for day, outcome in ((1, "promoted"), (2, "rejected")):
        decision = Decision(
            f"2012030{day}T220000-drift",
            datetime(2012, 3, day, 22, tzinfo=UTC),
            "drift",
            outcome,
            f"because of {outcome}",
        )
        (here.folder / decision.path).parent.mkdir(exist_ok=True)
        (here.folder / decision.path).write_text(decision.text())
    page_text = texts(panel(home_view.show, viewer))
    assert "2012-03-02 22:00 UTC: drift, rejected: because of rejected." in page_text
    assert "because of promoted" not in page_text
    (here.folder / "decisions" / "2013-broken.json").write_text("{")
    assert "2013-broken.json: cannot be read as a decision" in texts(panel(home_view.show, viewer))


def test_without_a_server_the_page_says_how_to_start_one(here: Repository) -> None:
    page = panel(home_view.show, context(here.folder))
    assert "make serve" in texts(page)
    assert "Look at server" in page.markdown[0].value


def test_stale_symbols_are_marked(viewer: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    version = viewer.server.get("/version")
    newest = newest_forecasts(viewer.server, version)
    stale = newest.table.with_columns(stale=pl.col("symbol") == "IBM")
    monkeypatch.setattr(forecast_tables, "newest_forecasts", lambda *_: Newest(stale, ()))
    table = panel(home_view.show, viewer).dataframe[0].value
    assert dict(zip(table["symbol"], table["state"], strict=True))["IBM"] == "stale"
