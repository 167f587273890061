"""`POST /labels`, `GET /predictions` and `GET /predictions/{id}`, on both databases."""

import json
import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from predictions import migrate
from predictions.engine import connect
from predictions.schema import prediction_logs
from serve.app import create
from serve.server_settings import Settings
from serve.service import Service

BEYOND = ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00")
"""Moments that no calendar of UTC has, while those of their own zones have."""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(
    request: pytest.FixtureRequest, reproduced: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    """A server whose log is in either database."""
    url = ""
    if request.param == "postgresql":
        postgres = request.getfixturevalue("_postgres")
        postgres.start()
        url = postgres.new_database()
        engine = connect(url)
        migrate.upgrade(engine)
        engine.dispose()
    var = tmp_path_factory.mktemp("var")
    with TestClient(create(Settings(root=reproduced, var=var, database_url=url))) as client:
        yield client


@pytest.fixture
def logged(server: TestClient) -> TestClient:
    """The server, with an empty log."""
    with service(server).engine.begin() as connection:
        connection.execute(sa.delete(prediction_logs))
    return server


def service(client: TestClient) -> Service:
    running: Service = client.app.state.service  # type: ignore[attr-defined]
    return running


def ask(client: TestClient, symbol: str = "AAPL", horizon: str = "short") -> dict[str, Any]:
    prediction: dict[str, Any] = client.post(f"/predict/{horizon}", json={"symbol": symbol}).json()
    return prediction


def listed(client: TestClient, **query: Any) -> list[dict[str, Any]]:
    answer = client.get("/predictions", params=query)
    assert answer.status_code == 200, answer.text
    predictions: list[dict[str, Any]] = answer.json()["predictions"]
    return predictions


def send(client: TestClient, identifier: str, **label: Any) -> Any:
    return client.post("/labels", json={"prediction_id": identifier, **label})


def test_a_prediction_is_found_as_it_was_answered(logged: TestClient) -> None:
    answer = ask(logged)
    prediction = logged.get(f"/predictions/{answer['id']}").json()
    of_now = {"stale", "in_sample", "out_of_sample"}
    assert {name: prediction[name] for name in answer.keys() - of_now} == {
        name: answer[name] for name in answer.keys() - of_now
    }
    beside = {name: prediction[name] for name in ("source", "client", "label")}
    assert beside == {"source": "latest", "client": None, "label": None}
    card = logged.get("/model/info").json()["short"]
    assert list(prediction["inputs"]) == card["features"]
    scale = card["scale"]
    logarithm = scale["intercept"] + sum(
        exponent * math.log(prediction["inputs"][name])
        for name, exponent in scale["exponents"].items()
    )
    assert prediction["scale"] == pytest.approx(math.exp(logarithm), rel=1e-3)
    (row,) = listed(logged)
    details = {"former_labels", "inputs", "scale"}
    assert row == {name: prediction[name] for name in prediction if name not in details}


def test_pages_follow_one_another_while_others_are_made(logged: TestClient) -> None:
    ids = [ask(logged)["id"] for _ in range(7)]
    assert ids == sorted(ids)
    pages: list[list[str]] = []
    cursor: dict[str, str] = {}
    while True:
        page = logged.get("/predictions", params={"limit": 3, **cursor}).json()
        pages.append([row["id"] for row in page["predictions"]])
        ask(logged)
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert pages == [ids[:3:-1], ids[3:0:-1], ids[:1]]


def test_a_full_last_page_has_no_next(logged: TestClient) -> None:
    ask(logged), ask(logged)
    assert logged.get("/predictions", params={"limit": 2}).json()["next"] is None


def test_filters_narrow_together(logged: TestClient) -> None:
    for symbol in ("AAPL", "IBM"):
        for horizon in ("short", "long"):
            ask(logged, symbol, horizon)
    pairs = [(row["symbol"], row["horizon"]) for row in listed(logged, symbol="IBM")]
    assert pairs == [("IBM", "long"), ("IBM", "short")]
    (one,) = listed(logged, symbol="IBM", horizon="short")
    send(logged, one["id"], actual_return=0.01)
    assert [row["id"] for row in listed(logged, labelled=True)] == [one["id"]]
    assert len(listed(logged, labelled=False)) == 3
    assert listed(logged, labelled=True, symbol="AAPL") == []
    assert listed(logged, symbol="NONE") == []


def test_a_span_of_time_holds_its_first_moment_and_not_its_last(logged: TestClient) -> None:
    answers = []
    for _ in range(3):
        answers.append(ask(logged))
        time.sleep(0.005)
    moments = [datetime.fromtimestamp((UUID(row["id"]).int >> 80) / 1000, UTC) for row in answers]
    selected = listed(logged, **{"from": moments[1].isoformat(), "until": moments[2].isoformat()})
    assert [row["id"] for row in selected] == [answers[1]["id"]]
    assert len(listed(logged, until=moments[1].isoformat())) == 1
    # Without a zone it is UTC.
    assert len(listed(logged, **{"from": moments[1].replace(tzinfo=None).isoformat()})) == 2
    other = (moments[1] + timedelta(0)).astimezone().isoformat()
    assert len(listed(logged, **{"from": other})) == 2


def test_a_label_is_kept_once(logged: TestClient) -> None:
    prediction = ask(logged)
    answer = send(
        logged,
        prediction["id"],
        actual_close=prediction["last_close"] * 1.5,
        observed_at="2013-01-02T22:00Z",
    )
    assert answer.status_code == 201
    label = answer.json()
    assert label["actual_return"] == pytest.approx(0.5)
    assert label["observed_at"] == "2013-01-02T22:00:00Z"
    assert logged.get(f"/predictions/{prediction['id']}").json()["label"] == label
    for again in ({"actual_return": 0.5}, {"actual_close": prediction["last_close"] * 1.5}):
        refused = send(logged, prediction["id"], **again)
        assert refused.status_code == 409
        assert "a label is given once" in refused.json()["detail"]
        assert str(label["actual_return"]) in refused.json()["detail"]
    assert logged.get(f"/predictions/{prediction['id']}").json()["label"] == label


def test_a_correction_keeps_the_former_label_with_its_time(logged: TestClient) -> None:
    answer = ask(logged)
    refused = send(logged, answer["id"], actual_return=0.1, correction=True)
    assert refused.status_code == 409
    assert refused.json()["type"] == "/problems/not-labelled"
    first = send(logged, answer["id"], actual_return=0.1, observed_at="2013-01-02T22:00Z").json()
    assert send(logged, answer["id"], actual_return=0.2).status_code == 409
    assert send(logged, answer["id"], actual_return=0.2, correction=False).status_code == 409
    assert send(logged, answer["id"], actual_return=0.2, correction="yes").status_code == 422
    second = send(logged, answer["id"], actual_close=answer["last_close"] * 1.2, correction=True)
    assert second.status_code == 201
    assert second.json()["actual_return"] == pytest.approx(0.2)
    third = send(logged, answer["id"], actual_return=0.3, correction=True).json()
    prediction = logged.get(f"/predictions/{answer['id']}").json()
    assert prediction["label"] == third
    assert prediction["former_labels"] == [
        {**first, "replaced_at": second.json()["created_at"]},
        {**second.json(), "replaced_at": third["created_at"]},
    ]
    (row,) = listed(logged, labelled=True)
    assert row["label"] == third


def test_of_many_corrections_at_once_each_is_kept(logged: TestClient) -> None:
    prediction = ask(logged)
    send(logged, prediction["id"], actual_return=0)
    with ThreadPoolExecutor(8) as threads:
        answers = threads.map(
            lambda change: send(logged, prediction["id"], actual_return=change, correction=True),
            range(1, 8),
        )
        assert [answer.status_code for answer in answers] == [201] * 7
    latest = logged.get(f"/predictions/{prediction['id']}").json()
    returns = [label["actual_return"] for label in (*latest["former_labels"], latest["label"])]
    assert returns[0] == 0
    assert sorted(returns) == list(range(8))


def test_a_return_that_is_sent_stands(logged: TestClient) -> None:
    prediction = ask(logged)
    label = send(
        logged, prediction["id"], actual_close=prediction["last_close"] / 2, actual_return=0.01
    ).json()
    assert label["actual_return"] == 0.01
    assert label["actual_close"] == prediction["last_close"] / 2


def test_of_many_labels_at_once_one_stays(logged: TestClient) -> None:
    prediction = ask(logged)
    with ThreadPoolExecutor(8) as threads:
        answers = threads.map(
            lambda change: send(logged, prediction["id"], actual_return=change), range(8)
        )
        statuses = [answer.status_code for answer in answers]
    assert sorted(statuses) == [201] + [409] * 7
    stored = logged.get(f"/predictions/{prediction['id']}").json()["label"]["actual_return"]
    assert stored == statuses.index(201)


def test_a_close_needs_one_to_start_from(logged: TestClient) -> None:
    card = logged.get("/model/info").json()["short"]
    row = {"features": dict.fromkeys(card["features"], 0.1)}
    batch = logged.post("/batch-predict", json={"horizon": "short", "rows": [row]}).json()
    identifier = batch["predictions"][0]["id"]
    refused = send(logged, identifier, actual_close=3.0)
    assert refused.status_code == 422
    assert "send actual_return" in refused.json()["detail"]
    assert send(logged, identifier, actual_return=-1).status_code == 201


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"actual_return": 0.1}, "prediction_id: Field required"),
        ({"prediction_id": "7", "actual_return": 0.1}, "prediction_id: Input should be a valid"),
        ({"prediction_id": str(uuid4())}, "send actual_close, actual_return or both"),
        ({"prediction_id": str(uuid4()), "actual_close": 0}, "actual_close: Input should be gr"),
        ({"prediction_id": str(uuid4()), "actual_return": -2}, "actual_return: Input should be"),
        (
            {"prediction_id": str(uuid4()), "actual_return": 0, "observed_at": "2013-01-02"},
            "observed_at",
        ),
        *(
            (
                {"prediction_id": str(uuid4()), "actual_return": 0, "observed_at": moment},
                "observed_at: Input should lie within the years 1 to 9999 of UTC",
            )
            for moment in BEYOND
        ),
        ({"prediction_id": str(uuid4()), "actual_return": 0, "why": 1}, "why: Extra inputs"),
    ],
)
def test_a_label_that_is_none_is_refused(
    logged: TestClient, body: dict[str, Any], says: str
) -> None:
    answer = logged.post("/labels", json=body)
    assert answer.status_code == 422
    assert says in answer.json()["detail"]


@pytest.mark.parametrize(
    ("moment", "says"),
    [
        ("1800-01-01T00:00:00Z", "1800-01-01 00:00:00+00:00 is before 1900-01-01"),
        ("0001-01-01T00:00:00Z", "is before 1900-01-01"),
        ("2012-12-29T23:59:59Z", "2012-12-29T23:59:59+00:00 is before 2012-12-31"),
        ("9998-01-01T00:00:00Z", "9998-01-01 00:00:00+00:00 has not come yet"),
        ("9999-12-31T23:59:59.999999Z", "has not come yet"),
    ],
)
def test_a_label_is_observed_after_its_bar_and_not_in_the_future(
    logged: TestClient, moment: str, says: str
) -> None:
    prediction = ask(logged)
    refused = send(logged, prediction["id"], actual_return=0.1, observed_at=moment)
    assert refused.status_code == 422
    assert "observed_at" in refused.json()["detail"]
    assert says in refused.json()["detail"]
    now = datetime.now(UTC)
    assert (
        send(logged, prediction["id"], actual_return=0.1, observed_at=str(now)).status_code == 201
    )
    stored = logged.get(f"/predictions/{prediction['id']}").json()["label"]["observed_at"]
    assert datetime.fromisoformat(stored) == now


def test_a_return_that_is_no_number_is_refused(logged: TestClient) -> None:
    card = logged.get("/model/info").json()["short"]
    row = {"features": dict.fromkeys(card["features"], 0.1), "last_close": 1e-300}
    batch = logged.post("/batch-predict", json={"horizon": "short", "rows": [row]}).json()
    (prediction,) = batch["predictions"]
    answer = send(logged, prediction["id"], actual_close=1e15)
    assert answer.status_code == 422
    for fact in ("actual_close", "1000000000000000.0", "1e-300", "finite", "send actual_return"):
        assert fact in answer.json()["detail"]
    assert logged.get(f"/predictions/{prediction['id']}").json()["label"] is None
    assert send(logged, prediction["id"], actual_close=1e-300).json()["actual_return"] == 0


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_what_is_no_number_is_refused(logged: TestClient, number: str) -> None:
    for name in ("actual_return", "actual_close"):
        body = f'{{"prediction_id": "{uuid4()}", "{name}": {number}}}'
        assert logged.post("/labels", content=body).status_code == 422


def test_an_unknown_id_is_not_found(logged: TestClient) -> None:
    for answer in (
        logged.get(f"/predictions/{uuid4()}"),
        send(logged, str(uuid4()), actual_return=0.0),
    ):
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
        assert "GET /predictions lists them" in answer.json()["detail"]


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0},
        {"limit": 1001},
        {"cursor": "x"},
        {"from": "yesterday"},
        {"labelled": "perhaps"},
        {"symbol": ""},
        {"symbol": "A\0"},
        {"horizon": "x" * 65},
    ],
)
def test_a_query_that_is_none_is_refused(logged: TestClient, query: dict[str, Any]) -> None:
    answer = logged.get("/predictions", params=query)
    assert answer.status_code == 422
    assert next(iter(query)) in answer.json()["detail"]


@pytest.mark.parametrize("moment", BEYOND)
def test_the_ends_of_time_are_moments(logged: TestClient, moment: str) -> None:
    ask(logged)
    counts = [len(listed(logged, **{name: moment})) for name in ("from", "until")]
    assert sorted(counts) == [0, 1]


def test_readers_do_not_wait_for_a_writer(logged: TestClient) -> None:
    prediction = ask(logged)
    engine = service(logged).engine
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE prediction_logs SET symbol = 'OTHER'"))
        began = time.monotonic()
        assert logged.get(f"/predictions/{prediction['id']}").json()["symbol"] == "AAPL"
        assert [row["symbol"] for row in listed(logged)] == ["AAPL"]
        assert logged.get("/plot/AAPL").json()["logged"]["id"] == [prediction["id"]]
        assert time.monotonic() - began < 2
        connection.rollback()


def test_a_writer_does_not_wait_for_readers(logged: TestClient) -> None:
    ask(logged)
    reads = service(logged).reads.engine
    with reads.begin() as connection:
        connection.execute(sa.text("SELECT count(*) FROM prediction_logs")).scalar_one()
        ask(logged)
        assert send(logged, ask(logged)["id"], actual_return=0.1).status_code == 201


def test_nothing_is_written_through_a_reading_connection(logged: TestClient) -> None:
    reads = service(logged).reads.engine
    for statement in ("DELETE FROM label_store", "CREATE TABLE more (id INTEGER)"):
        with pytest.raises(sa.exc.DBAPIError), reads.begin() as connection:
            connection.execute(sa.text(statement))


def test_a_locked_log_is_away_for_labels(logged: TestClient) -> None:
    prediction = ask(logged)
    settings = service(logged).settings.model_copy(update={"log_timeout": 0.3})
    with TestClient(create(settings)) as hasty:
        with service(logged).engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.text("LOCK TABLE label_store"))
            began = time.monotonic()
            answer = send(hasty, prediction["id"], actual_return=0.1)
            assert time.monotonic() - began < 2
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "1"
            assert "the prediction log is away: " in answer.json()["detail"]
        time.sleep(0.3)
        assert send(hasty, prediction["id"], actual_return=0.1).status_code in {201, 409}


NUL, SURROGATE, LONG = r"A\u0000", r"A\ud800", "A" * 65


def test_the_schema_refuses_what_a_database_would(logged: TestClient) -> None:
    """So that no row of a caller makes the commit fail that it shares with rows of others."""
    card = logged.get("/model/info").json()["short"]
    values = json.dumps(dict.fromkeys(card["features"], 0.1))
    columns = ("date", "open", "high", "low", "close", "volume")
    bar = json.dumps(dict.fromkeys(columns, 1.0) | {"date": "2012-12-31"})

    def row(**changes: str) -> tuple[str, str]:
        fields = {"symbol": '"A"', "features": values, **changes}
        body = ", ".join(f'"{name}": {value}' for name, value in fields.items())
        return "/batch-predict", f'{{"horizon": "short", "rows": [{{{body}}}]}}'

    bad = [
        *(row(symbol=f'"{symbol}"') for symbol in (NUL, SURROGATE, LONG, "")),
        *(row(last_close=number) for number in ("Infinity", "NaN", "1e999", "1e16", "0")),
        *(row(features=values.replace("0.1", number)) for number in ("Infinity", "-1e39")),
        *(row(as_of=f'"{day}"') for day in ("0000-01-01", "9999-12-31", "10000-01-01")),
        *(
            ("/predict", f'{{"symbol": "{symbol}", "bars": [{bar}]}}')
            for symbol in (NUL, SURROGATE, LONG, "")
        ),
        ("/predict", f'{{"bars": [{bar.replace("1.0", "1e999")}]}}'),
        ("/predict/short", f'{{"symbol": "{NUL}"}}'),
    ]
    with ThreadPoolExecutor(8) as threads:
        good = [threads.submit(ask, logged) for _ in bad]
        answers = [
            threads.submit(
                logged.post, path, content=body, headers={"Content-Type": "application/json"}
            )
            for path, body in bad
        ]
    for (path, body), answer in zip(bad, answers, strict=True):
        assert answer.result().status_code == 422, (path, body, answer.result().text)
        assert "prediction log" not in answer.result().text
    ids = {future.result()["id"] for future in good}
    assert {prediction["id"] for prediction in listed(logged)} == ids
    # The first day that there is can be stored, and the longest name.
    path, body = row(symbol=f'"{"é" * 64}"', as_of='"0001-01-01"')
    (first,) = logged.post(path, content=body).json()["predictions"]
    prediction = logged.get(f"/predictions/{first['id']}").json()
    assert (prediction["symbol"], prediction["as_of"]) == ("é" * 64, "0001-01-01")


@pytest.mark.parametrize("identifier", ["A" * 65, "A" * 5000, "a\tb", "é"])
def test_a_request_id_that_cannot_be_stored_is_replaced(
    logged: TestClient, identifier: str
) -> None:
    answer = logged.post("/predict/short", headers=[(b"X-Request-Id", identifier.encode())])
    assert answer.status_code == 200
    assert listed(logged)[0]["request_id"] == answer.headers["x-request-id"] != identifier
