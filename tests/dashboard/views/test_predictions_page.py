"""The page Predictions before a real server: what it reads, and what it shows in each state."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import polars as pl
import pytest
import streamlit as st
from fastapi.testclient import TestClient
from streamlit.testing.v1 import AppTest

from dashboard import forecast_frame
from dashboard.outlook import forecast_log, own_bars, past_forecasts
from dashboard.outlook.symbol_chart import symbol_chart
from dashboard.outlook.symbol_forecasts import symbol_forecasts
from dashboard.page_context import Context
from dashboard.server_client import RefusedError, Server
from dashboard.views import predictions_view
from serve.checkout.bundle import Bundle
from tests.dashboard.views import panels

NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
def client(app: TestClient) -> Iterator[TestClient]:
    """The same app, whose answers nobody has kept, and whose bundle a test may replace."""
    st.cache_data.clear()
    former = bundle_of(app)
    yield app
    serve_instead(app, former)


@pytest.fixture
def server(client: TestClient) -> Server:
    return panels.asking(client)


def bundle_of(client: TestClient) -> Bundle:
    bundle: Bundle = client.app.state.service.forecaster.bundle  # type: ignore[attr-defined]
    return bundle


def serve_instead(client: TestClient, bundle: Bundle) -> None:
    client.app.state.service._swapped(bundle)  # type: ignore[attr-defined]


def of(server: Server) -> Context:
    """Somebody in Kolkata who asks a server of New York."""
    return replace(
        panels.context(Path(), may_act=False),
        server=server,
        exchange_zone=ZoneInfo("America/New_York"),
        viewer_zone=ZoneInfo("Asia/Kolkata"),
    )


def opened(server: Server, **query: str) -> AppTest:
    """The page of an address."""
    page = panels.panel(predictions_view.show, of(server), **query)
    assert not page.exception
    return page


def charts(page: AppTest) -> int:
    return len(page.get("plotly_chart"))


def test_each_horizon_is_shown_as_it_is_logged(server: Server) -> None:
    page = opened(server, symbol="IBM", horizon="long")
    assert page.selectbox(key="symbol").value == "IBM"
    assert len(page.metric) == 2
    for metric, horizon in zip(page.metric, ("short", "long"), strict=True):
        (newest,) = forecast_log.newest(server, "IBM", horizon).head(1).rows(named=True)
        logged = server.get(f"/predictions/{newest['id']}")
        assert metric.value == f"{100 * logged['predicted_return']:+.2f} %"
        page_text = panels.texts(page)
        assert newest["id"].replace("-", "\\-") in page_text
        for bound in ("lower", "upper"):
            assert f"{100 * logged['interval'][f'{bound}_return']:+.2f} %" in page_text
            assert f"{logged['interval'][f'{bound}_close']:,.2f}" in page_text
    # Candles, outcomes and coverage; the mean has no contributions.
    assert charts(page) == 3
    assert "every feature contributes 0" in panels.texts(page)


def test_a_page_that_is_looked_at_again_logs_nothing(server: Server) -> None:
    for _ in range(2):
        opened(server, symbol="MSFT")
    page = server.get("/predictions", symbol="MSFT", horizon="short")
    assert len(page["predictions"]) == 1


def test_the_chart_of_a_symbol_has_what_evaluate_wrote(server: Server, reproduced: Path) -> None:
    chart = symbol_chart(server, server.get("/version"), "GOOG", "long")
    history = past_forecasts.of_hold_out(chart)
    written = pl.read_parquet(reproduced / "models" / "long" / "forecasts.parquet")
    known = written.filter(symbol="GOOG").drop_nulls(["target", "target_date"]).sort("target_date")
    assert history["actual_return"].to_list() == known["target"].to_list()
    assert history["as_of"].to_list() == known["date"].dt.to_string("iso").to_list()
    bars = pl.read_parquet(reproduced / "models" / "latest.parquet").filter(symbol="GOOG")
    assert chart.bars["high"].to_list() == bars["high"].to_list()


def test_the_same_bars_give_the_same_forecast_and_others_move_it(server: Server) -> None:
    version = server.get("/version")
    chart = symbol_chart(server, version, "AAPL", "short")
    answer = symbol_forecasts(server, version, "AAPL")[0].answer
    bars = own_bars.editable(chart)

    def forecast(factor: float) -> Any:
        last = pl.col("date") == bars["date"][-1]
        edits = bars.with_columns(
            pl.when(last).then(factor * pl.col(name)).otherwise(name).alias(name)
            for name in ("open", "close")
        )
        body = own_bars.request("AAPL", "short", own_bars.with_edits(chart.bars, edits))
        return own_bars.forecast(server, answer["model"]["md5"], body)

    same = forecast(1)
    for name in ("lower_return", "upper_return"):
        assert same["interval"][name] == pytest.approx(answer["interval"][name], abs=1e-6)
    moved = forecast(1.3)
    assert moved["last_close"] == pytest.approx(1.3 * answer["last_close"])
    assert moved["interval"]["upper_return"] > answer["interval"]["upper_return"]
    with pytest.raises(RefusedError, match="2012-12-31 opens at"):
        forecast(100)
    newest = forecast_log.newest(server, "AAPL", "short")
    assert newest["source"].to_list()[:2] == ["bars", "bars"]


def test_outcomes_of_logged_forecasts_count_once_a_bar(server: Server) -> None:
    page = opened(server, symbol="IBM", horizon="short", history="logged")
    assert "no logged forecast" in panels.texts(page).lower()
    for day in ("2012-12-20", "2012-12-20", "2012-12-21"):
        forecast = server.post("/predict/short", {"symbol": "IBM", "as_of": day})
        server.post("/labels", {"prediction_id": forecast["id"], "actual_return": 0.5})
    st.cache_data.clear()
    history = forecast_log.labelled(server, "IBM", "short")
    assert history["as_of"].to_list() == ["2012-12-20", "2012-12-21"]
    assert history["actual_return"].to_list() == [0.5, 0.5]
    page = opened(server, symbol="IBM", horizon="short", history="logged")
    assert "0 of 2 outcomes" in panels.texts(page)
    assert "needs 60 outcomes" in panels.texts(page)


def test_names_that_the_server_does_not_have_are_told(server: Server) -> None:
    page = opened(server, symbol="<b>APPL</b>", horizon="medium")
    warnings = [str(each.value).replace("\\", "") for each in page.warning]
    assert any("<b>APPL</b>" in each and "AAPL" in each for each in warnings)
    assert any("medium" in each and "short" in each for each in warnings)
    assert page.selectbox(key="symbol").value == "AAPL"


def test_a_name_is_only_text_and_a_symbol_without_a_history_has_a_page(
    client: TestClient, server: Server
) -> None:
    bundle, name = bundle_of(client), "<b>&*x*?#"
    serve_instead(client, replace(bundle, rows={**bundle.rows, name: bundle.rows["IBM"]}))
    page = opened(server, symbol=name, horizon="short", **{"what-if": "true"})
    assert page.selectbox(key="symbol").value == name
    page_text = panels.texts(page)
    assert "hold-out has no forecast" in page_text
    assert "keeps no whole bars" in page_text
    assert f"{name}: the short forecast" in page_text


def test_what_the_server_remarks_is_shown(client: TestClient, server: Server) -> None:
    bundle = bundle_of(client)
    rows = bundle.rows["IBM"]
    ended = replace(
        rows,
        days=rows.days[:-60],
        closes=rows.closes[:-60],
        features={name: values[:-60] for name, values in rows.features.items()},
    )
    models = {name: replace(each, explanations=None) for name, each in bundle.models.items()}
    serve_instead(client, replace(bundle, rows={**bundle.rows, "IBM": ended}, models=models))
    page = opened(server, symbol="IBM", horizon="short")
    page_text = panels.texts(page)
    assert "stale" in page_text
    # Its newest bar is one whose outcome the model has seen.
    assert "in sample" in page_text
    assert "had not seen this bar" in page_text
    assert "dvc repro explain@short" in page_text


def test_contributions_are_drawn_where_there_are_some(client: TestClient, server: Server) -> None:
    bundle = bundle_of(client)
    short = bundle.models["short"]
    why = {
        name: own.with_columns(vol_14=pl.lit(0.0002), forecast=pl.col("forecast") + 0.0002)
        for name, own in (short.explanations or {}).items()
    }
    models = {**bundle.models, "short": replace(short, explanations=why)}
    serve_instead(client, replace(bundle, models=models))
    assert charts(opened(server, symbol="IBM", horizon="short")) == 4


def live(server: Server, *versions: dict[str, Any]) -> AppTest:
    """The live part alone, on a page that has the first of these revisions, then the next."""

    def script(context: "Context", versions: "list[dict[str, Any]]") -> None:
        import streamlit as st

        from dashboard.views.predictions import live_section

        st.session_state.runs = st.session_state.get("runs", 0) + 1
        version = versions[st.session_state.runs - 1]
        live_section.show(context, version, "IBM", "short")

    page = AppTest.from_function(script, args=(of(server), versions), default_timeout=60).run()
    assert not page.exception
    assert page.session_state.runs == len(versions)
    return page


def test_a_page_follows_the_revision_of_the_server(server: Server) -> None:
    forecast = server.post("/predict/short", {"symbol": "IBM"})
    version = server.get("/version")
    for versions in ([version], [{**version, "as_of": "2012-12-28"}, version]):
        page_text = panels.texts(live(server, *versions))
        assert forecast["id"] in page_text.replace("\\", "")
        # In the zone of the exchange, and of the viewer.
        assert re.search(r"logged \d{4}-\d\d-\d\d \d\d:\d\d E[SD]T \(.*IST\)", page_text)


def test_a_server_that_goes_away_is_one_line_of_an_open_page(server: Server) -> None:
    version = server.get("/version")
    with httpx.Client() as client:
        (error,) = live(Server(NOWHERE, "", client), version).error
    assert "make serve" in str(error.value)


def test_without_a_server_the_page_says_how_to_start_one() -> None:
    st.cache_data.clear()
    with httpx.Client() as client:
        page = opened(Server(NOWHERE, "", client))
    (error,) = page.error
    assert NOWHERE.split("//")[1] in str(error.value).replace("\\", "")
    assert "make serve" in str(error.value)


def test_a_table_of_forecasts_has_what_the_server_said(server: Server) -> None:
    answers = [each.answer for each in symbol_forecasts(server, server.get("/version"), "IBM")]
    for row, answer in zip(forecast_frame.table(answers).rows(named=True), answers, strict=True):
        assert row["id"] == answer["id"]
        assert row["lower_close"] == answer["interval"]["lower_close"]
        assert row["revision"] == answer["model"]["revision"]
