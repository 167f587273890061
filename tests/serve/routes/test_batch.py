"""`POST /batch-predict` with JSON: every row answered and logged, or none."""

import re
import time
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from predictions.schema import prediction_logs
from serve.app import create
from serve.checkout.bundle import Bundle
from serve.server_settings import Settings
from tests.serve.forecasts.handmade import steep

KEPT = ("predicted_return", "probability_of_rise", "interval", "as_of", "target_date", "last_close")


def post(client: TestClient, *rows: dict[str, Any], horizon: str = "short") -> Any:
    return client.post("/batch-predict", json={"horizon": horizon, "rows": rows})


def logged(client: TestClient) -> list[Any]:
    engine = client.app.state.service.engine  # type: ignore[attr-defined]
    with engine.connect() as connection:
        return list(connection.execute(sa.select(prediction_logs)).mappings())


def own(bundle: Bundle, symbol: str = "IBM", horizon: str = "short") -> dict[str, Any]:
    """The features of a symbol's newest bar, as a caller would send them."""
    model, rows = bundle.models[horizon], bundle.rows[symbol]
    values = rows.features[horizon][-1].tolist()
    return {"features": dict(zip(model.card.features, values, strict=True))}


def test_rows_are_answered_in_order_as_if_asked_one_by_one(client: TestClient) -> None:
    rows = [{"symbol": "MSFT"}, {"symbol": "AAPL", "as_of": "2012-11-20"}, {}]
    predictions = post(client, *rows, horizon="long").json()["predictions"]
    alone = [client.post("/predict/long", json=row).json() for row in rows]
    assert [{name: row[name] for name in KEPT} for row in predictions] == [
        {name: row[name] for name in KEPT} for row in alone
    ]
    assert [row["symbol"] for row in predictions] == ["MSFT", "AAPL", "AAPL"]
    assert [row["id"] for row in logged(client)][:3] == [row["id"] for row in predictions]


def test_own_features_give_the_forecast_of_the_same_bar(client: TestClient, bundle: Bundle) -> None:
    custom = {**own(bundle), "symbol": "MINE", "as_of": "2012-12-31", "last_close": 100.0}
    known, named, bare = post(client, {"symbol": "IBM"}, custom, own(bundle)).json()["predictions"]
    for name in ("predicted_return", "probability_of_rise", "target_date", "as_of"):
        assert named[name] == known[name]
    assert named["predicted_close"] == pytest.approx(100 * (1 + known["predicted_return"]))
    assert bare["symbol"] == "custom"
    assert bare["predicted_return"] == known["predicted_return"]
    empty = ("as_of", "target_date", "last_close", "predicted_close")
    assert [bare[name] for name in empty] == [None] * 4
    assert bare["interval"]["lower_close"] is None
    sources = [(row["source"], row["as_of"], row["last_close"]) for row in logged(client)]
    assert sources[1:] == [("rows", date(2012, 12, 31), 100.0), ("rows", None, None)]


def test_the_model_computes_the_scale_from_the_features(client: TestClient, bundle: Bundle) -> None:
    spreads = bundle.models["short"].document["scale"]["exponents"]
    wilder = {name: 3 * value for name, value in own(bundle)["features"].items() if name in spreads}
    usual, wild = post(client, own(bundle), features(bundle, **wilder)).json()["predictions"]
    width = [
        row["interval"]["upper_return"] - row["interval"]["lower_return"] for row in (usual, wild)
    ]
    scales = [row["scale"] for row in logged(client)]
    assert scales[1] / scales[0] == pytest.approx(3 ** sum(spreads.values()), rel=1e-3)
    assert width[1] / width[0] == pytest.approx(scales[1] / scales[0], rel=1e-3)


def test_logged_inputs_give_back_the_float32_of_the_model(
    client: TestClient, bundle: Bundle
) -> None:
    import json

    post(client, own(bundle))
    (row,) = logged(client)
    values = np.array(list(json.loads(row["inputs"]).values()), np.float32)
    assert values.tobytes() == bundle.rows["IBM"].features["short"][-1].tobytes()


def features(bundle: Bundle, **changes: float | str | None) -> dict[str, Any]:
    values = {**own(bundle)["features"], **changes}
    return {"features": {name: value for name, value in values.items() if value is not None}}


@pytest.mark.parametrize(
    ("rows", "status", "says"),
    [
        ([], 422, "rows: the batch is empty; send 1 to 1,000 rows"),
        ([{}] * 1001, 413, "rows: 1,001 are too many, the limit is 1,000 (SERVE_MAX_BATCH)"),
        ([{}, {"symbol": "APPL"}], 422, "rows.1: unknown symbol 'APPL' (did you mean AAPL?)"),
        ([{"as_of": "2031-01-01"}], 422, "rows.0: as_of 2031-01-01 is after 2012-12-31"),
        ([{}, {}, {"last_close": 1.0}], 422, "rows.2: last_close comes with features"),
        ([{}, {"scale": 1.0}], 422, "rows.1.scale: Extra inputs are not permitted"),
        ([{"symbol": 3}], 422, "rows.0.symbol: Input should be a valid string"),
        ([{"colour": "red"}], 422, "rows.0.colour: Extra inputs are not permitted"),
        ([{"features": {}}], 422, "rows.0: no value for return_lag1, return_lag2"),
    ],
)
def test_each_mistake_is_named_with_its_row(
    client: TestClient, rows: list[dict[str, Any]], status: int, says: str
) -> None:
    answer = post(client, *rows)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert says in answer.json()["detail"]
    assert logged(client) == []


def test_each_mistake_in_features_is_named(client: TestClient, bundle: Bundle) -> None:
    answer = post(
        client,
        features(bundle),
        features(bundle, rsi_14=None),
        features(bundle, rsi_15=1.0),
        features(bundle, rsi_14=1e300),
    )
    assert answer.status_code == 422
    assert answer.json()["detail"] == (
        "rows.1: no value for rsi_14; rows.2: the short model has no feature 'rsi_15' (did you "
        "mean rsi_14?); GET /model/info lists them; rows.3: rsi_14: 1e+300 is beyond what a "
        "float32 holds"
    )
    assert logged(client) == []


def test_what_no_model_can_compute_with_is_refused_and_not_logged(
    client: TestClient, bundle: Bundle
) -> None:
    models = {**bundle.models, "short": steep(bundle.models["short"])}
    service = client.app.state.service  # type: ignore[attr-defined]
    service._swapped(replace(bundle, models=models))
    extreme = features(bundle, return_lag1=3e38)
    answer = post(
        client,
        own(bundle),
        extreme,
        {**own(bundle), "symbol": "MINE", "as_of": "2999-01-01"},
    )
    assert answer.status_code == 422
    assert answer.json()["detail"] == "rows.2: as_of 2999-01-01 has not come yet"
    answer = post(client, own(bundle), extreme)
    assert answer.status_code == 422
    assert answer.json()["detail"] == (
        "rows.1: custom: the forecast is beyond what a float32 holds; see whether the features "
        "have the unit of training"
    )
    assert logged(client) == []


@pytest.mark.parametrize("day", ["1900-01-01", "2011-01-01"])
def test_a_day_before_the_calendar_that_is_kept_has_no_target(
    client: TestClient, bundle: Bundle, day: str
) -> None:
    (predictions,) = post(client, {**own(bundle), "as_of": day}).json()["predictions"]
    assert (predictions["as_of"], predictions["target_date"]) == (day, None)


def test_a_body_of_nothing_but_mistakes_takes_little_time_and_memory(client: TestClient) -> None:
    def batch(*rows: bytes) -> bytes:
        return b'{"horizon":"short","rows":[' + b",".join(rows) + b"]}"

    unknown = ",".join(f'"{place:x}":1' for place in range(150_000))
    more = "rows: more than 10,000 are too many, the limit is 1,000"
    for body, status, says in (
        (batch(*[b"0"] * 980_000), 413, more),
        (batch(*[b"{}"] * 600_000), 413, more),
        (batch(b"{" + unknown.encode() + b"}"), 422, "and 149995 more"),
    ):
        headers = {"Content-Type": "application/json"}
        started = time.process_time()
        answer = client.post("/batch-predict", content=body, headers=headers)
        assert answer.status_code == status, answer.text
        assert says in answer.json()["detail"]
        assert time.process_time() - started < 3


def test_the_rest_of_many_mistakes_is_counted(client: TestClient) -> None:
    detail = post(client, *[{"symbol": "X"}] * 12).json()["detail"]
    assert re.findall(r"rows\.(\d+)", detail) == ["0", "1", "2", "3", "4"]
    assert detail.endswith("and 7 more rows")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_refused(client: TestClient, number: str) -> None:
    body = f'{{"horizon": "short", "rows": [{{"features": {{"rsi_14": {number}}}}}]}}'
    answer = client.post("/batch-predict", content=body)
    assert answer.status_code == 422
    assert "rows.0.features.rsi_14: Input should be a finite number" in answer.json()["detail"]


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '{"rows": [{}]}', '{"horizon": "short"}'])
def test_another_body_is_refused(client: TestClient, body: str) -> None:
    answer = client.post("/batch-predict", content=body)
    assert answer.status_code == 422
    assert answer.json()["type"] == "/problems/invalid-request"


def test_an_unknown_horizon_is_not_found(client: TestClient) -> None:
    answer = post(client, {}, horizon="shrt")
    assert answer.status_code == 404
    assert "unknown horizon 'shrt' (did you mean short?)" in answer.json()["detail"]


def test_a_large_body_is_refused(client: TestClient) -> None:
    answer = client.post("/batch-predict", content=b" " * 2_000_001)
    assert answer.status_code == 413
    assert "2,000,000 bytes" in answer.json()["detail"]


def test_another_media_type_is_refused(client: TestClient) -> None:
    csv = client.post("/batch-predict", content="a", headers={"Content-Type": "text/csv"})
    assert csv.status_code == 415
    packed = client.post("/batch-predict", content="a", headers={"Content-Encoding": "gzip"})
    assert packed.status_code == 415
    assert "gzip" in packed.json()["detail"]


def test_the_document_shows_both_forms(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    body = document["paths"]["/batch-predict"]["post"]["requestBody"]["content"]
    assert set(body) == {"application/json", "application/vnd.apache.arrow.stream"}
    assert (
        "features"
        in body["application/json"]["schema"]["properties"]["rows"]["items"]["properties"]
    )


def test_a_limit_of_one_is_obeyed(bundle: Bundle, reproduced: Any, tmp_path: Any) -> None:
    del bundle
    settings = Settings(root=reproduced, var=tmp_path, max_batch=1)
    with TestClient(create(settings)) as client:
        assert post(client, {}).status_code == 200
        assert post(client, {}, {}).status_code == 413
