"""Forecasts that are requested at the same time are computed together, and do not change."""

import asyncio
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from serve.checkout.bundle import Bundle, Model
from serve.forecasts.forecast_errors import InvalidInputError
from serve.forecasts.forecaster import Forecaster, Row, check
from serve.forecasts.prediction import day

BARS = 40


@pytest.fixture
def forecaster(bundle: Bundle) -> Forecaster:
    return Forecaster(bundle)


class Calls:
    """Counts the rows of each call of a model."""

    def __init__(self, forecaster: Forecaster, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows: list[int] = []
        many = forecaster.many

        def counted(model: Model, rows: Any) -> Any:
            self.rows.append(len(rows))
            return many(model, rows)

        monkeypatch.setattr(forecaster, "many", counted)


def newest(forecaster: Forecaster, model: Model, count: int) -> list[Row]:
    """The newest bars of a symbol."""
    days = forecaster.bundle.rows["IBM"].days[-count:]
    return [forecaster.row(model, "IBM", day(int(each))) for each in days]


@pytest.mark.parametrize("horizon", ["short", "long"])
def test_what_is_asked_for_at_once_is_computed_at_once_and_bit_for_bit_the_same(
    forecaster: Forecaster, monkeypatch: pytest.MonkeyPatch, horizon: str
) -> None:
    model = forecaster.model(horizon)
    rows = newest(forecaster, model, BARS)
    alone = [forecaster.many(model, [row])[0] for row in rows]
    calls = Calls(forecaster, monkeypatch)

    async def scenario() -> None:
        assert await asyncio.gather(*(forecaster.soon(model, row) for row in rows)) == alone

    asyncio.run(scenario())
    assert calls.rows == [BARS]


def test_a_cancelled_request_is_left_out(
    forecaster: Forecaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = forecaster.model("short")
    rows = newest(forecaster, model, 2)
    calls = Calls(forecaster, monkeypatch)

    async def scenario() -> None:
        both = [asyncio.create_task(forecaster.soon(model, row)) for row in rows]
        await asyncio.sleep(0)
        both[0].cancel()
        gone, forecast = await asyncio.gather(*both, return_exceptions=True)
        assert isinstance(gone, asyncio.CancelledError)
        assert [forecast] == forecaster.many(model, [rows[1]])
        alone = asyncio.create_task(forecaster.soon(model, rows[0]))
        await asyncio.sleep(0)
        alone.cancel()
        await asyncio.gather(alone, return_exceptions=True)

    asyncio.run(scenario())
    assert calls.rows == [1, 1]


def test_a_model_that_fails_fails_all_who_wait_and_not_the_next(
    forecaster: Forecaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = forecaster.model("short")
    rows = newest(forecaster, model, 2)

    def broken(*_: object) -> list[Any]:
        raise MemoryError("no room")

    async def scenario() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(forecaster, "many", broken)
            errors = await asyncio.gather(
                *(forecaster.soon(model, row) for row in rows),
                return_exceptions=True,
            )
            assert [type(each) for each in errors] == [MemoryError, MemoryError]
        assert (await forecaster.soon(model, rows[0]))["symbol"] == "IBM"

    asyncio.run(scenario())


def test_a_row_that_is_not_complete_keeps_no_other_from_its_forecast(
    forecaster: Forecaster,
) -> None:
    model = forecaster.model("short")
    row = forecaster.row(model, "IBM", None)

    async def scenario() -> None:
        broken = row._replace(features=np.full_like(row.features, np.nan))
        refused, forecast = await asyncio.gather(
            forecaster.soon(model, broken), forecaster.soon(model, row), return_exceptions=True
        )
        assert isinstance(refused, InvalidInputError)
        assert [forecast] == forecaster.many(model, [row])

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("hours", "kind", "message"),
    [(0.01, None, ""), (float("nan"), "no-hourly-bars", "IBM: hourly_volatility needs")],
)
def test_a_row_without_hourly_bars_for_a_model_of_hours(
    forecaster: Forecaster, hours: float, kind: str | None, message: str
) -> None:
    model = forecaster.model("short")
    card = model.card.model_copy(update={"features": [*model.card.features, "hourly_volatility"]})
    row = forecaster.row(model, "IBM", None)
    row = row._replace(features=np.append(row.features, np.float32(hours)))
    if kind is None:
        check(replace(model, card=card), row)
        return
    with pytest.raises(InvalidInputError, match=message) as caught:
        check(replace(model, card=card), row)
    assert caught.value.kind == kind
