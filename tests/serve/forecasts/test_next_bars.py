"""Forecasts from a caller's own bars know the levels of the revision."""

import asyncio
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from serve.checkout.bundle import Bundle, Card, Interval, Model, Trained
from serve.checkout.provenance import Revision
from serve.forecasts import next_bars
from serve.forecasts.forecast_errors import InvalidInputError
from serve.forecasts.forecaster import Forecaster
from serve.request_schemas import BarsRequest
from stages.forecast.session import Session
from stages.forecast.training.graphs import linear
from tests.panels import daily, feature_params
from tests.serve.forecasts.handmade import forecasting

MONDAY = date(2012, 1, 9)
FEATURES = ["vix_level", "vix_change_lag1"]


def served(values: list[float], days: list[date]) -> Forecaster:
    """A revision whose model forecasts a hundredth of the level plus a tenth of its change."""
    candidate = linear(np.array([0.01, 0.1]), 0.0)
    card = Card(
        horizon="short",
        sessions=1,
        as_of=MONDAY,
        features=FEATURES,
        symbols=["A"],
        interval=Interval(level=0.9),
        training=Trained(last=MONDAY),
    )
    model = Model("short", card, Session(candidate), "0" * 32)
    return Forecaster(
        Bundle(
            revision=Revision("test"),
            lock_md5="",
            as_of=MONDAY,
            models={"short": forecasting(model, candidate)},
            rows={},
            bars=daily("A", []),
            latest=pl.DataFrame(),
            market={"vix": daily("vix", values, days)},
            levels=["vix"],
            sessions=[],
            max_gap=0.18,
            features=feature_params(market_lags=[1]),
            symbols=("A",),
            files={},
            loaded_at=0.0,
        )
    )


def predicted(forecaster: Forecaster, day: date) -> float:
    bar = {"date": str(day), "open": 10, "high": 10, "low": 10, "close": 10, "volume": 5}
    request = BarsRequest.model_validate({"symbol": "mine", "bars": [bar]})
    (forecast,) = asyncio.run(next_bars.forecasts(forecaster, request))
    return float(forecast["predicted_return"])


@pytest.mark.parametrize(
    ("after", "expected"), [(0, 0.01 * 3 + 0.1 * -2), (1, 0.01 * 4 + 0.1 * 1), (4, 0.01 * 4 + 0.1)]
)
def test_own_bars_take_the_newest_level_that_their_day_knows(after: int, expected: float) -> None:
    days = [MONDAY + timedelta(days=step) for step in (-3, 0, 1)]
    forecaster = served([5.0, 3.0, 4.0], days)
    forecast = predicted(forecaster, MONDAY + timedelta(days=after))
    assert forecast == pytest.approx(expected, abs=1e-6)


def test_own_bars_are_refused_where_a_model_sees_numbers_of_symbols() -> None:
    forecaster = served([5.0, 3.0], [MONDAY - timedelta(days=3), MONDAY])
    model = forecaster.bundle.models["short"]
    card = model.card.model_copy(update={"features": ["vix_level", "mood_level"]})
    models = {"short": replace(model, card=card)}
    forecaster = Forecaster(replace(forecaster.bundle, models=models))
    with pytest.raises(InvalidInputError, match=r"mine: mood_level .*/batch-predict") as caught:
        predicted(forecaster, MONDAY)
    assert caught.value.kind == "no-levels"
