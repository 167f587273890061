"""`GET /plot/{symbol}` and `GET /metrics/{symbol}`."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from predictions.schema import label_store
from serve.app import create
from serve.checkout.bundle import Bundle
from serve.server_settings import Settings

COLUMNS = (
    *("close", "open", "high", "low", "adj_close", "volume", "as_of", "predicted_return"),
    *("lower_return", "upper_return", "predicted_close", "lower_close", "upper_close"),
    *("probability_of_rise", "actual_return"),
)


def plot(client: TestClient, query: str = "", symbol: str = "AAPL") -> Any:
    answer = client.get(f"/plot/{symbol}{query}")
    assert answer.status_code == 200
    chart = answer.json()
    assert {len(chart[name]) for name in COLUMNS} == {len(chart["dates"])}
    assert chart["dates"] == sorted(set(chart["dates"]))
    return chart


@pytest.mark.parametrize("horizon", ["short", "long"])
def test_forecasts_are_those_of_evaluate_at_the_session_they_are_for(
    client: TestClient, bundle: Bundle, horizon: str
) -> None:
    chart = plot(client, f"?horizon={horizon}&last=5000", "GOOG")
    model = bundle.models[horizon]
    assert chart["level"] == model.card.interval.level
    assert chart["sessions"] == model.card.sessions
    written = model.forecasts.filter(pl.col("symbol") == "GOOG").drop_nulls("target_date")
    places = {day: place for place, day in enumerate(chart["dates"])}
    for row in written.iter_rows(named=True):
        place = places[row["target_date"].isoformat()]
        assert chart["as_of"][place] == row["date"].isoformat()
        assert chart["predicted_return"][place] == row["forecast"]
        assert chart["lower_return"][place] == row["lower"]
        assert chart["upper_close"][place] == pytest.approx(row["close"] * (1 + row["upper"]))
        assert chart["probability_of_rise"][place] == row["probability"]
        assert chart["actual_return"][place] == row["target"]
    closes = dict(written.select("date", "close").iter_rows())
    for day, close in closes.items():
        assert chart["close"][places[day.isoformat()]] == close


@pytest.mark.parametrize("horizon", ["short", "long"])
def test_newer_bars_are_forecast_as_predict_does(client: TestClient, horizon: str) -> None:
    chart = plot(client, f"?horizon={horizon}&last=30")
    for place in (-1, -2, -min(30, len(chart["dates"]))):
        body = {"symbol": "AAPL", "as_of": chart["as_of"][place]}
        known = client.post(f"/predict/{horizon}", json=body).json()
        assert known["target_date"] == chart["dates"][place]
        # The forecast made from a bar differs from that of a model that has seen its outcome.
        forecast = known["out_of_sample"] or {**known, **known["interval"]}
        for name in ("predicted_return", "lower_return", "upper_return", "probability_of_rise"):
            assert forecast[name] == pytest.approx(chart[name][place], abs=1e-9)
        lower = known["last_close"] * (1 + forecast["lower_return"])
        assert lower == pytest.approx(chart["lower_close"][place])
    assert chart["close"][-1] is None
    # Every session up to the last target has its forecast, without a gap.
    assert None not in chart["predicted_return"]


def test_bars_are_those_of_the_revision(client: TestClient, bundle: Bundle) -> None:
    chart = plot(client, "?last=5000", "GOOG")
    places = {day: place for place, day in enumerate(chart["dates"])}
    own = bundle.bars.filter(pl.col("symbol") == "GOOG")
    for row in own.iter_rows(named=True):
        place = places[row["date"].isoformat()]
        for name in ("open", "high", "low", "close", "adj_close", "volume"):
            assert chart[name][place] == row[name]
    assert sum(value is not None for value in chart["open"]) == own.height
    # Older sessions of the hold-out have a close alone; what is ahead has neither, nor an outcome.
    assert chart["close"][0] is not None
    assert chart["close"][-1] is chart["actual_return"][-1] is None


def test_a_span_can_be_asked_for(client: TestClient) -> None:
    chart = plot(client, "?from=2011-03-01&until=2011-03-31")
    assert (chart["dates"][0], chart["dates"][-1]) == ("2011-03-01", "2011-03-31")
    assert len(chart["dates"]) == 23
    newest = plot(client, "?from=2011-03-01&until=2011-03-31&last=5")
    assert newest["dates"] == chart["dates"][-5:]
    assert len(plot(client)["dates"]) == 253
    assert plot(client, "?from=0001-01-01&until=9999-12-31")["dates"] == plot(client)["dates"]
    for empty in ("?from=2031-01-01", "?until=1999-01-01", "?from=9999-12-31", "?until=0001-01-01"):
        chart = plot(client, empty)
        assert chart["dates"] == chart["logged"]["id"] == []


def test_logged_predictions_come_with_their_outcomes(client: TestClient) -> None:
    answers = [
        client.post("/predict/short", json={"as_of": f"2012-12-{day}"}).json() for day in (20, 21)
    ]
    client.post("/predict/long")
    client.post("/predict/short", json={"symbol": "IBM"})
    engine = client.app.state.service.engine  # type: ignore[attr-defined]
    outcome = {"prediction_id": answers[0]["id"], "actual_return": 0.01, "actual_close": 500.0}
    with engine.begin() as connection:
        connection.execute(
            sa.insert(label_store).values(created_at=datetime.now().astimezone(), **outcome)
        )
    logged = plot(client)["logged"]
    assert logged["id"] == [answer["id"] for answer in answers]
    assert logged["actual_return"] == [0.01, None]
    assert logged["actual_close"] == [500.0, None]
    assert logged["target_date"] == ["2012-12-21", "2012-12-24"]
    assert logged["predicted_return"] == [answer["predicted_return"] for answer in answers]
    assert logged["revision"] == [answer["model"]["revision"] for answer in answers]
    assert plot(client, "?until=2012-12-21")["logged"]["id"] == [answers[0]["id"]]


def test_a_chart_needs_no_log(bundle: Bundle, reproduced: Path, tmp_path: Path) -> None:
    del bundle
    with TestClient(create(Settings(root=reproduced, var=tmp_path))) as client:
        engine = client.app.state.service.engine  # type: ignore[attr-defined]
        with engine.begin() as connection:
            connection.execute(sa.text("ALTER TABLE prediction_logs RENAME TO elsewhere"))
        chart = plot(client)
        assert chart["logged"] is None
        assert len(chart["dates"]) == 253


def test_a_slow_log_holds_up_charts_and_nothing_else(client: TestClient) -> None:
    """Many requests for charts wait on threads of their own, not on those of forecasts."""
    reads = client.app.state.service.reads.engine  # type: ignore[attr-defined]
    go_on, waiting = threading.Event(), threading.Event()

    def wait(*_: object) -> None:
        waiting.set()
        go_on.wait(30)

    sa.event.listen(reads, "before_cursor_execute", wait)
    many = {"horizon": "short", "rows": [{}]}
    # One for each thread that the loop has for work of all kinds.
    with ThreadPoolExecutor(40) as threads:
        try:
            charts = [threads.submit(client.get, "/plot/AAPL?last=5") for _ in range(36)]
            assert waiting.wait(10)
            time.sleep(0.5)
            beside = threads.submit(client.post, "/batch-predict", json=many)
            assert beside.result(3).status_code == 200
        finally:
            go_on.set()
        assert {chart.result(30).status_code for chart in charts} == {200}


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/plot/APPL", 404, "unknown symbol 'APPL' (did you mean AAPL?)"),
        ("/plot/AAPL?horizon=log", 404, "unknown horizon 'log' (did you mean long?)"),
        ("/plot/AAPL?last=0", 422, "last: Input should be greater than or equal to 1"),
        ("/plot/AAPL?last=5001", 422, "last: Input should be less than or equal to 5000"),
        ("/plot/AAPL?from=yesterday", 422, "from: Input should be a valid date"),
        ("/plot/AAPL?from=2012-02-01&until=2012-01-01", 422, "from 2012-02-01 is after until"),
        ("/metrics/MSTF", 404, "unknown symbol 'MSTF' (did you mean MSFT?)"),
    ],
)
def test_each_mistake_is_named(client: TestClient, path: str, status: int, says: str) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert says in answer.json()["detail"]


def test_scores_are_those_of_the_revision(client: TestClient, bundle: Bundle) -> None:
    chart = client.get("/metrics/IBM").json()
    assert chart["revision"] == bundle.revision.name
    for horizon, model in bundle.models.items():
        assert chart["horizons"][horizon] == model.scores["IBM"]


def test_sessions_follow_each_other(client: TestClient) -> None:
    days = [date.fromisoformat(day) for day in plot(client, "?last=300")["dates"]]
    gaps = {after - before for before, after in pairwise(days)}
    assert gaps <= {timedelta(count) for count in range(1, 6)}
