"""What callers get wrong, each with the one line that it is answered with."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from fastapi.testclient import TestClient

from serve.app import create
from serve.server_settings import Settings

JSON = "application/json"
Body = Callable[[list[dict[str, Any]]], object]

SYMBOL = "unknown symbol {!r} (did you mean {}?); GET /symbols lists them"
HORIZON = "unknown horizon {!r}{}; there are short, long"
DAY = "Input should be a valid date, such as 2012-12-31"
FUTURE = (
    "as_of 2013-01-01 is after 2012-12-31, the newest session that this revision knows; leave it "
    "out for the newest bar"
)
ORDER = "bars: {} comes after {}; send them oldest first, one a session"
LARGER = "the body is larger than 65,536 bytes (more than this path takes)"
LARGE = "the body is larger than 2,000,000 bytes (SERVE_MAX_BODY)"
DEEP = "the body cannot be read: maximum recursion depth exceeded"
LONG = "the body cannot be read: Exceeds the limit (4300 digits) for integer string conversion"
NO_UTF8 = "the body cannot be read: 'utf-8' codec can't decode byte 0xc4 in position 12"
METHOD = "{} is not allowed for this path; use {}"
ID = "0199d4a0-7c00-7000-8000-000000000000"


@pytest.fixture(scope="module")
def client(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with TestClient(create(Settings(root=models, var=tmp_path_factory.mktemp("var")))) as client:
        yield client


@pytest.fixture(scope="module")
def bars(models: Path) -> list[dict[str, Any]]:
    """The newest 100 of IBM."""
    columns = ("date", "open", "high", "low", "close", "adj_close", "volume")
    rows = pl.read_parquet(models / "models/latest.parquet").filter(symbol="IBM").tail(100)
    return [{**row, "date": str(row["date"])} for row in rows.select(columns).iter_rows(named=True)]


@pytest.mark.parametrize(
    ("path", "body", "status", "detail"),
    [
        # Names.
        ("/predict/short", {"symbol": "APPL"}, 404, SYMBOL.format("APPL", "AAPL")),
        ("/predict/short", {"symbol": "goog"}, 404, SYMBOL.format("goog", "GOOG")),
        ("/predict/MSFTT", None, 404, SYMBOL.format("MSFTT", "MSFT")),
        ("/predict/shrt", None, 404, SYMBOL.format("shrt", "short")),
        (
            "/predict/short",
            {"symbol": "XYZQ"},
            404,
            "unknown symbol 'XYZQ'; GET /symbols lists them",
        ),
        (
            "/batch-predict",
            {"horizon": "lnog", "rows": [{}]},
            404,
            HORIZON.format("lnog", " (did you mean long?)"),
        ),
        # Wrong types.
        ("/predict/short", {"symbol": 3}, 422, "symbol: Input should be a valid string"),
        ("/predict/short", {"sybmol": "A"}, 422, "sybmol: Extra inputs are not permitted"),
        ("/predict/short", {"symbol": ""}, 422, "symbol: String should have at least 1 character"),
        ("/predict/short", {"as_of": "tomorrow"}, 422, f"as_of: {DAY}"),
        ("/predict/short", {"as_of": 20121231}, 422, f"as_of: {DAY}"),
        ("/predict/short", {"as_of": "2012-12-31T00:00"}, 422, f"as_of: {DAY}"),
        (
            "/labels",
            {"prediction_id": ID},
            422,
            "Value error, send actual_close, actual_return or both",
        ),
        ("/labels", {"prediction_id": ID, "actual_close": 1}, 404, f"no prediction {ID}; "),
        (
            "/predict/IBM",
            {"symbol": "MSFT"},
            422,
            "symbol: 'MSFT' is not the IBM of the path; leave it out",
        ),
        # Days.
        ("/predict/short", {"as_of": "2013-01-01"}, 422, FUTURE),
        ("/predict/AAPL", {"as_of": "2013-01-01"}, 422, FUTURE),
        (
            "/batch-predict",
            {"horizon": "short", "rows": [{}, {"as_of": "2013-01-01"}]},
            422,
            f"rows.1: {FUTURE}",
        ),
        (
            "/predict/short",
            {"as_of": "1990-01-01"},
            422,
            "as_of 1990-01-01 is before 2011-03-21, the oldest bar of AAPL that this revision "
            "keeps",
        ),
        # Batches.
        (
            "/batch-predict",
            {"horizon": "short", "rows": []},
            422,
            "rows: the batch is empty; send 1 to 1,000 rows",
        ),
        (
            "/batch-predict",
            {"horizon": "short", "rows": [{}] * 1001},
            413,
            "rows: 1,001 are too many, the limit is 1,000 (SERVE_MAX_BATCH); send several "
            "batches, or an Arrow stream",
        ),
        # Not JSON, or not an object.
        (
            "/predict/short",
            '{"symbol": "AAPL"',
            422,
            "the body is not JSON: expecting ',' delimiter at character 17",
        ),
        (
            "/predict/short",
            b"\xff\xfe",
            422,
            "the body is not JSON: expecting value at character 0",
        ),
        (
            "/predict/short",
            "[]",
            422,
            "Input should be a valid dictionary or object to extract fields from",
        ),
        ("/predict", "[" * 100_000, 400, DEEP),
        ("/predict/short", "[" * 50_000, 400, DEEP),
        ("/labels", '{"actual_close": ' + "9" * 5_000 + "}", 400, LONG),
        ("/predict/short", '{"symbol": ' + "9" * 5_000 + "}", 400, LONG),
        ("/predict/short", b'{"symbol": "\xc4"}', 400, NO_UTF8),
        ("/predict", b'{"symbol": "\xc4"}', 400, NO_UTF8),
        ("/predict", b" " * 2_000_001, 413, LARGE),
        ("/predict/short", b" " * 65_537, 413, LARGER),
        ("/batch-predict", b" " * 2_000_001, 413, LARGE),
        ("/labels", b" " * 65_537, 413, LARGER),
    ],
)
def test_a_mistake_is_named(
    client: TestClient, path: str, body: object, status: int, detail: str
) -> None:
    check(client, path, body, status, detail)


@pytest.mark.parametrize(
    ("change", "status", "detail"),
    [
        (
            lambda bars: {"horizon": "medium", "bars": bars},
            404,
            HORIZON.format("medium", ""),
        ),
        (lambda bars: {"bars": bars[::-1]}, 422, ORDER.format("2012-12-28", "2012-12-31")),
        (
            lambda bars: {"bars": [bars[0], bars[0]]},
            422,
            ORDER.format("2012-08-07", "2012-08-07"),
        ),
        (
            lambda bars: {"symbol": "IBM", "horizon": "long", "bars": bars},
            422,
            "IBM: too few bars for mom_252, vol_252, dist_high_252 and 1 more",
        ),
        (
            lambda bars: {"horizon": "short", "bars": bars[:3]},
            422,
            "custom: too few bars for return_lag3, return_lag4, return_lag5 and 23 more",
        ),
        (
            lambda bars: {"bars": [*bars, {**bars[-1], "date": "2999-01-02"}]},
            422,
            "bars: 2999-01-02 has not come yet",
        ),
        (lambda _: {"bars": []}, 422, "bars: List should have at least 1 item after validation"),
        (
            lambda bars: {"bars": [{**bars[0], "close": float("nan")}]},
            422,
            "bars.0.close: Input should be a finite number",
        ),
        (
            lambda bars: {"bars": [bars[0], {**bars[1], "adj_close": float("inf")}]},
            422,
            "bars.1.adj_close: Input should be a finite number",
        ),
        (
            lambda bars: {"bars": [{**bars[0], "close": None}]},
            422,
            "bars.0.close: Input should be a valid number",
        ),
        (
            lambda bars: {"bars": [{**bars[0], "close": 0}]},
            422,
            "bars.0.close: Input should be greater than 0",
        ),
        (
            lambda bars: {"bars": [{**bars[0], "volume": -1}]},
            422,
            "bars.0.volume: Input should be greater than or equal to 0",
        ),
        (
            lambda bars: {"bars": [{**bars[0], "low": 1e9}]},
            422,
            "bars: 2012-08-07: open and close must lie between low and high",
        ),
        (
            lambda bars: {"bars": [{**bar, "low": "x"} for bar in bars]},
            422,
            "bars.4.low: Input should be a valid number, unable to parse string as a number; and "
            "95 more",
        ),
    ],
)
def test_a_mistake_in_bars_is_named(
    client: TestClient, bars: list[dict[str, Any]], change: Body, status: int, detail: str
) -> None:
    check(client, "/predict", json.dumps(change(bars)), status, detail)


@pytest.mark.parametrize(
    ("method", "path", "status", "detail"),
    [
        ("GET", "/predict/short?as_of=2013-01-01", 422, FUTURE),
        ("GET", "/predict/short?symbol=APPL", 404, SYMBOL.format("APPL", "AAPL")),
        ("GET", "/predict/short?as_of=0", 422, DAY),
        ("GET", "/plot/AAPL?horizon=longg", 404, HORIZON.format("longg", " (did you mean long?)")),
        ("GET", "/predictions?from=0.5", 422, "Input should be a valid datetime, such as "),
        ("GET", "/predictions?limit=0", 422, "Input should be greater than or equal to 1"),
        ("GET", "/nowhere", 404, "there is no such path; GET /openapi.json lists them"),
        ("GET", "/predict", 405, METHOD.format("GET", "POST")),
        ("GET", "/predict/APPL", 404, SYMBOL.format("APPL", "AAPL")),
        ("DELETE", "/predict/short", 405, METHOD.format("DELETE", "GET, POST")),
    ],
)
def test_a_mistake_in_the_address_is_named(
    client: TestClient, method: str, path: str, status: int, detail: str
) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    assert detail in answer.json()["detail"]
    if status == 405:
        assert f"use {answer.headers['allow']}" in answer.json()["detail"]


def check(client: TestClient, path: str, body: object, status: int, detail: str) -> None:
    """One line, and nothing in the log of predictions."""
    content = body if body is None or isinstance(body, str | bytes) else json.dumps(body)
    answer = client.post(path, content=content, headers={"Content-Type": JSON})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert detail in problem["detail"]
    assert "\n" not in problem["detail"]
    assert problem["status"] == status
    assert problem["title"]
    if status == 400:
        assert problem["type"] == "/problems/unreadable-body"
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert client.get("/predictions").json()["predictions"] == []
