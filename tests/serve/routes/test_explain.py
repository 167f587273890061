"""Why a forecast is what it is, over HTTP: the contributions that the stage explain wrote."""

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from fastapi.testclient import TestClient

from serve.app import create
from serve.server_settings import Settings
from tests.messages import facts

TOLERANCE = 1e-6


def written(root: Path, horizon: str, symbol: str) -> pl.DataFrame:
    path = root / "models" / horizon / "explanations.parquet"
    return pl.read_parquet(path).filter(symbol=symbol)


def check(answer: dict[str, Any], row: dict[str, Any]) -> None:
    """An explained answer against a row of explanations.parquet."""
    assert answer["as_of"] == str(row.pop("date"))
    assert answer["symbol"] == row.pop("symbol")
    explanation = answer["explanation"]
    contributions = explanation["contributions"]
    assert {
        "forecast": explanation["forecast"],
        "base": explanation["base"],
        **contributions,
    } == row
    assert explanation["forecast"] == pytest.approx(
        explanation["base"] + sum(contributions.values()), abs=TOLERANCE
    )
    sizes = [abs(value) for value in contributions.values()]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("horizon", ["short", "long"])
def test_the_newest_forecast_is_explained(
    client: TestClient, reproduced: Path, horizon: str
) -> None:
    row = written(reproduced, horizon, "IBM").row(-1, named=True)
    for answer in (
        client.get(f"/predict/{horizon}", params={"symbol": "IBM", "explain": "true"}),
        client.post(f"/predict/{horizon}", json={"symbol": "IBM", "explain": True}),
    ):
        assert answer.status_code == 200, answer.text
        check(answer.json(), dict(row))
        assert answer.json()["explanation"]["forecast"] == pytest.approx(
            answer.json()["predicted_return"], abs=TOLERANCE
        )


def test_every_horizon_of_a_symbol_is_explained(client: TestClient, reproduced: Path) -> None:
    for answer in (
        client.get("/predict/GOOG?explain=true"),
        client.post("/predict/GOOG", json={"explain": True}),
    ):
        for each in answer.json()["predictions"]:
            check(each, written(reproduced, each["horizon"], "GOOG").row(-1, named=True))


def test_a_held_out_bar_is_explained(client: TestClient, reproduced: Path) -> None:
    day = "2012-06-20"
    row = written(reproduced, "short", "MSFT").row(
        by_predicate=pl.col("date") == date.fromisoformat(day), named=True
    )
    query = {"symbol": "MSFT", "as_of": day, "explain": "true"}
    check(client.get("/predict/short", params=query).json(), row)


def test_who_does_not_ask_gets_no_explanation(client: TestClient) -> None:
    for path in ("/predict/short", "/predict/short?explain=false"):
        assert "explanation" not in client.get(path).json()
    assert "explanation" not in client.post("/predict/short", json={"explain": False}).json()
    for each in client.get("/predict/IBM").json()["predictions"]:
        assert "explanation" not in each


def test_a_bar_without_an_explanation_is_named_and_nothing_is_logged(
    client: TestClient, reproduced: Path
) -> None:
    """Its outcome was not known to evaluate, and it is not the newest."""
    known = written(reproduced, "long", "IBM")["date"]
    for answer in (
        client.get("/predict/long?symbol=IBM&as_of=2012-12-20&explain=true"),
        client.post(
            "/predict/long", json={"symbol": "IBM", "as_of": "2012-12-20", "explain": True}
        ),
        client.get("/predict/IBM?as_of=2012-12-20&explain=true"),
    ):
        assert answer.status_code == 404
        assert answer.json()["type"] == "/problems/no-explanation"
        assert facts(answer.json()["detail"]) == {
            *("IBM", "2012-12-20"),
            *(str(known.min()), str(known.max())),
        }
    assert client.get("/predictions").json()["predictions"] == []


def test_bars_of_the_caller_are_not_explained(client: TestClient) -> None:
    bar = {"date": "2012-12-31", "open": 1, "high": 1, "low": 1, "close": 1}
    for explain in (True, False):
        answer = client.post("/predict", json={"bars": [bar], "explain": explain})
        assert answer.status_code == 422
        assert "bars of the revision" in answer.json()["detail"]
        assert "GET /predict/{symbol}?explain=true" in answer.json()["detail"]
    answer = client.post("/predict?explain=true", json={"bars": [bar]})
    assert answer.status_code == 422
    assert "'explain'" in facts(answer.json()["detail"])


@pytest.mark.parametrize("flag", ["maybe", ""])
def test_what_is_neither_true_nor_false_is_refused(client: TestClient, flag: str) -> None:
    answer = client.get("/predict/short", params={"explain": flag})
    assert answer.status_code == 422
    assert "explain" in answer.json()["detail"]
    assert client.post("/predict/short", json={"explain": flag}).status_code == 422


def test_a_revision_without_explanations_forecasts_and_says_so(
    container: Path, tmp_path: Path
) -> None:
    lock = container / "dvc.lock"
    content = yaml.safe_load(lock.read_text(encoding="utf-8"))
    for horizon in ("short", "long"):
        (container / "models" / horizon / "explanations.parquet").unlink()
        del content["stages"][f"explain@{horizon}"]
    lock.write_text(yaml.safe_dump(content), encoding="utf-8")
    with TestClient(create(Settings(root=container, var=tmp_path / "var"))) as client:
        assert client.get("/predict/short").status_code == 200
        answer = client.get("/predict/short?explain=true")
        assert answer.status_code == 404
        assert answer.json()["type"] == "/problems/no-explanation"
        assert "`dvc repro explain@short`" in facts(answer.json()["detail"])
