"""Forecasts over HTTP: the same numbers as evaluate wrote, from each way of asking."""

import re
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from fastapi.testclient import TestClient

from serve.app import create
from serve.server_settings import Settings

SYMBOLS = ("AAPL", "GOOG", "IBM", "MSFT")
HORIZONS = {"short": 1, "long": 63}
TOLERANCE = 1e-6


def latest(root: Path, symbol: str) -> pl.DataFrame:
    return pl.read_parquet(root / "models/latest.parquet").filter(symbol=symbol)


def written(root: Path, horizon: str) -> pl.DataFrame:
    return pl.read_parquet(root / "models" / horizon / "forecasts.parquet")


def bars(root: Path, symbol: str) -> list[dict[str, Any]]:
    columns = ("date", "open", "high", "low", "close", "adj_close", "volume")
    rows = latest(root, symbol).select(columns).iter_rows(named=True)
    return [{**row, "date": str(row["date"])} for row in rows]


def post(client: TestClient, path: str, body: object = None) -> dict[str, Any]:
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    return content


def check(prediction: dict[str, Any], row: dict[str, Any]) -> None:
    """An answer against a row of forecasts.parquet."""
    assert (prediction["symbol"], prediction["as_of"]) == (row["symbol"], str(row["date"]))
    assert prediction["last_close"] == row["close"]
    assert prediction["predicted_return"] == pytest.approx(row["forecast"], abs=TOLERANCE)
    assert prediction["interval"]["lower_return"] == pytest.approx(row["lower"], abs=TOLERANCE)
    assert prediction["interval"]["upper_return"] == pytest.approx(row["upper"], abs=TOLERANCE)
    assert prediction["probability_of_rise"] == pytest.approx(row["probability"], abs=TOLERANCE)
    if row["target_date"] is not None:
        assert prediction["target_date"] == str(row["target_date"])


def as_forecast(unseen: dict[str, float]) -> dict[str, Any]:
    """An answer's `out_of_sample`, by the names of the answer."""
    return {**unseen, "interval": unseen}


@pytest.mark.parametrize("horizon", HORIZONS)
@pytest.mark.parametrize("symbol", SYMBOLS)
def test_the_newest_forecast_is_the_one_that_evaluate_wrote(
    client: TestClient, reproduced: Path, horizon: str, symbol: str
) -> None:
    table = written(reproduced, horizon).filter(symbol=symbol)
    check(post(client, f"/predict/{horizon}", {"symbol": symbol}), table.row(-1, named=True))
    by_query = client.get(f"/predict/{horizon}", params={"symbol": symbol}).json()
    check(by_query, table.row(-1, named=True))
    upcoming = pl.read_csv(reproduced / "metrics" / horizon / "forecasts.csv")
    assert by_query["target_date"] == upcoming.filter(symbol=symbol)["target_date"].item()
    assert (by_query["in_sample"], by_query["out_of_sample"]) == (False, None)
    assert by_query["sessions"] == HORIZONS[horizon]


@pytest.mark.parametrize("horizon", HORIZONS)
def test_every_bar_that_is_kept_comes_with_what_evaluate_wrote_for_it(
    client: TestClient, reproduced: Path, horizon: str
) -> None:
    days = latest(reproduced, "GOOG")["date"]
    table = written(reproduced, horizon).filter(
        pl.col("symbol") == "GOOG", pl.col("date").is_in(days.implode())
    )
    assert table.height > 300
    for row in table.gather_every(17).iter_rows(named=True):
        body = {"symbol": "GOOG", "as_of": str(row["date"])}
        answer = post(client, f"/predict/{horizon}", body)
        # The outcome of the bar was known when the model was fitted, or it is still to come.
        assert answer["in_sample"] is (row["target"] is not None)
        if answer["in_sample"]:
            answer |= as_forecast(answer["out_of_sample"])
        check(answer, row)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_own_bars_give_the_forecast_of_the_symbol(
    client: TestClient, reproduced: Path, symbol: str
) -> None:
    body = {"symbol": symbol, "bars": bars(reproduced, symbol)}
    predictions = post(client, "/predict", body)["predictions"]
    assert [each["horizon"] for each in predictions] == list(HORIZONS)
    for each in predictions:
        row = written(reproduced, each["horizon"]).filter(symbol=symbol).row(-1, named=True)
        check(each, row)


def test_own_bars_up_to_an_earlier_day_give_the_forecast_of_that_day(
    client: TestClient, reproduced: Path
) -> None:
    """Features of a day need no bar after it, and not those that are kept before the others."""
    own_bars = bars(reproduced, "IBM")[:-5]
    answer = post(client, "/predict", {"symbol": "IBM", "horizon": "short", "bars": own_bars})
    (each,) = answer["predictions"]
    known = post(client, "/predict/short", {"symbol": "IBM", "as_of": own_bars[-1]["date"]})
    # Five of the oldest bars are missing: what is left of them in exponential averages is nothing.
    for name in ("as_of", "target_date", "last_close"):
        assert each[name] == known[name]
    for name in ("predicted_return", "probability_of_rise", "interval"):
        assert each[name] == pytest.approx(known[name], abs=TOLERANCE)


def test_a_bar_of_the_caller_that_follows_is_forecast_from(
    client: TestClient, reproduced: Path
) -> None:
    own_bars = bars(reproduced, "MSFT")
    more = {**own_bars[-1], "date": "2013-01-02"}
    body = {"symbol": "MSFT", "horizon": "short", "bars": [*own_bars, more]}
    (answer,) = post(client, "/predict", body)["predictions"]
    assert (answer["as_of"], answer["target_date"]) == ("2013-01-02", "2013-01-03")


def test_all_horizons_of_a_symbol_come_with_what_they_are_worth(
    client: TestClient, reproduced: Path
) -> None:
    answer = post(client, "/predict/IBM")
    assert answer["symbol"] == "IBM"
    for each in answer["predictions"]:
        assert (each["in_sample"], each["out_of_sample"]) == (False, None)
        check(each, written(reproduced, each["horizon"]).filter(symbol="IBM").row(-1, named=True))
        scores = pl.read_csv(reproduced / "metrics" / each["horizon"] / "scores.csv")
        row = scores.filter(model="stack", symbol="IBM").row(0, named=True)
        assert each["scores"] == {name: row[name] for name in each["scores"]}
        assert each["scores"]["rows"] == row["rows"]


def test_a_horizon_that_comes_later_is_answered_as_the_others(
    container: Path, tmp_path: Path
) -> None:
    """As after a checkout: the server started without knowing of it."""
    lock = (container / "dvc.lock").rename(container / "away")
    with TestClient(create(Settings(root=container, var=tmp_path / "var"))) as client:
        assert client.get("/predict/long").status_code == 503
        lock.rename(container / "dvc.lock")
        deadline = time.monotonic() + 10
        while client.get("/health").status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        row = written(container, "long").filter(symbol="IBM").row(-1, named=True)
        check(client.get("/predict/long?symbol=IBM").json(), row)
        check(post(client, "/predict/long", {"symbol": "IBM"}), row)
        every = client.get("/predict/IBM").json()
        assert [each["horizon"] for each in every["predictions"]] == list(HORIZONS)


def test_an_answer_says_all_that_is_asked_of_it(client: TestClient) -> None:
    answer = post(client, "/predict/short")
    assert re.fullmatch(
        r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", answer["id"]
    )
    assert answer["symbol"] == "AAPL"
    assert answer["predicted_close"] == pytest.approx(
        answer["last_close"] * (1 + answer["predicted_return"])
    )
    interval = answer["interval"]
    assert interval["level"] == 0.9
    assert interval["lower_return"] < answer["predicted_return"] < interval["upper_return"]
    for side in ("lower", "upper"):
        assert interval[f"{side}_close"] == pytest.approx(
            answer["last_close"] * (1 + interval[f"{side}_return"])
        )
    assert 0 < answer["probability_of_rise"] < 1
    version = client.get("/version").json()
    assert answer["model"] == version["models"]["short"]
    assert answer["model"]["revision"] == version["revision"]
    assert version["as_of"] == "2012-12-31"


def test_a_day_without_a_session_is_asked_for_as_of_the_one_before(client: TestClient) -> None:
    christmas = post(client, "/predict/short", {"symbol": "IBM", "as_of": "2012-12-25"})
    assert (christmas["as_of"], christmas["target_date"]) == ("2012-12-24", "2012-12-26")


def test_ids_sort_by_time(client: TestClient) -> None:
    ids = [post(client, "/predict/short")["id"] for _ in range(20)]
    assert ids == sorted(set(ids))


def test_what_can_be_asked_is_listed(client: TestClient, reproduced: Path) -> None:
    assert [each["symbol"] for each in client.get("/symbols").json()] == list(SYMBOLS)
    assert {
        each["horizon"]: each["sessions"] for each in client.get("/horizons").json()
    } == HORIZONS
    cards = client.get("/model/info").json()
    assert "ridge" in cards["short"]["candidates"]
    assert cards["short"]["baselines"].keys() == {"zero", "mean"}
    first = client.get("/symbols").json()[0]
    assert first["first"] == str(latest(reproduced, "AAPL")["date"].min())
    assert first["last"] == "2012-12-31"


def test_the_document_names_every_horizon_and_every_problem(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert {"/predict/short", "/predict/long", "/predict/{symbol}"} <= set(document["paths"])
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation.get("summary"), (method, path)
            for status, answer in operation["responses"].items():
                if status >= "400" and "/health" not in path:
                    assert "application/problem+json" in answer["content"], (method, path, status)


def test_a_future_day_is_refused(client: TestClient) -> None:
    for day in ("2013-01-01", str(date.today() + timedelta(days=1))):  # noqa: DTZ011
        answer = client.post("/predict/short", json={"as_of": day})
        assert answer.status_code == 422
        assert answer.json()["detail"] == (
            f"as_of {day} is after 2012-12-31, the newest session that this revision knows; "
            "leave it out for the newest bar"
        )
