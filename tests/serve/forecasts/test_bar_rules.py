"""`POST /predict` judges a caller's bars by the rules of clean."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from serve.checkout.bundle import Bundle
from serve.forecasts import bar_rules
from serve.forecasts.forecast_errors import InvalidInputError

Bars = list[dict[str, Any]]
PRICES = ("open", "high", "low", "close", "adj_close")
MOVED = 40


@pytest.fixture
def bars(bundle: Bundle) -> Bars:
    """All that the revision keeps of IBM."""
    rows = bundle.bars.filter(symbol="IBM").select("date", *PRICES, "volume")
    return [{**row, "date": str(row["date"])} for row in rows.iter_rows(named=True)]


def scaled(bars: Bars, first: int, last: int, factor: float, names: tuple[str, ...]) -> Bars:
    return [
        {**bar, **{name: bar[name] * factor for name in names}} if first <= place < last else bar
        for place, bar in enumerate(bars)
    ]


def plain(bars: Bars) -> Bars:
    return [{name: value for name, value in bar.items() if name != "adj_close"} for bar in bars]


def ask(client: TestClient, bars: Bars, **more: Any) -> Any:
    return client.post("/predict", json={"symbol": "IBM", "bars": bars, **more})


def test_what_clean_takes_is_taken(client: TestClient, bars: Bars) -> None:
    assert ask(client, bars).status_code == 200
    assert ask(client, plain(bars)).status_code == 200
    # A split that adj_close explains: the price halves, and the adjusted price does not.
    split = scaled(bars, len(bars) - MOVED, len(bars), 0.5, PRICES[:4])
    assert ask(client, split).status_code == 200


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda bars: plain(scaled(bars, len(bars) - MOVED, 9_999, 0.5, PRICES[:4])), "a split"),
        (lambda bars: scaled(bars, len(bars) - MOVED, 9_999, 0.01, PRICES), "another unit"),
        (lambda bars: scaled(bars, len(bars) - MOVED, len(bars) - 5, 0.01, PRICES), "another unit"),
        (lambda bars: plain(scaled(bars, len(bars) - 1, 9_999, 100, PRICES)), "opens at"),
    ],
    ids=["a split", "for good", "for a while", "the last"],
)
def test_an_unexplained_jump_is_refused(
    client: TestClient, bars: Bars, change: Callable[[Bars], Bars], says: str
) -> None:
    jumped = change(bars)
    answer = ask(client, jumped)
    assert answer.status_code == 422, answer.text
    assert answer.json()["type"] == "/problems/unexplained-jump"
    for fact in (says, "adj_close", "genuine"):
        assert fact in answer.json()["detail"]


def test_a_jump_that_is_declared_is_taken(client: TestClient, bars: Bars) -> None:
    jumped = plain(scaled(bars, len(bars) - MOVED, len(bars), 0.7, PRICES[:4]))
    day = jumped[-MOVED]["date"]
    refused = ask(client, jumped)
    assert refused.status_code == 422
    assert day in refused.json()["detail"]
    assert ask(client, jumped, genuine=[day]).status_code == 200
    absent = ask(client, jumped, genuine=["1990-01-01"])
    assert absent.status_code == 422
    assert "1990-01-01" in absent.json()["detail"]


@pytest.mark.parametrize("day", ["2012-12-30", "2012-12-25", "1999-01-03"])
def test_a_day_on_which_the_exchange_was_closed_is_refused(
    client: TestClient, bars: Bars, day: str
) -> None:
    more = sorted([*bars, {**bars[-1], "date": day}], key=lambda bar: str(bar["date"]))
    answer = ask(client, more)
    assert answer.status_code == 422
    assert answer.json()["type"] == "/problems/not-a-session"
    assert f"closed on {day} ({date.fromisoformat(day):%A})" in answer.json()["detail"]


def test_an_exchange_may_be_open_on_sundays() -> None:
    friday = date(2012, 12, 28)
    sundays = [(friday + timedelta(days) - date(1970, 1, 1)).days for days in (2, 3, 4, 5, 6)]
    # After the calendar's end only its weekdays are known.
    bar_rules.check_sessions([friday + timedelta(9)], sundays)
    bar_rules.check_sessions([friday], [])
    with pytest.raises(InvalidInputError, match="2013-01-11 \\(Friday\\)"):
        bar_rules.check_sessions([friday + timedelta(14)], sundays)
