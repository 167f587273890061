"""The remarks on a forecast from a bar that the model was trained on."""

from dataclasses import replace
from datetime import date
from typing import Any

import polars as pl
import pytest

from serve.checkout.bundle import Bundle, Model, Trained
from serve.forecasts.forecaster import Forecaster
from serve.forecasts.prediction import day
from serve.forecasts.remarks import remarks


def newest_remarks(bundle: Bundle, model: Model, as_of: date | None = None) -> dict[str, Any]:
    return remarks(bundle, model, Forecaster(bundle).row(model, "IBM", as_of))


@pytest.mark.parametrize("horizon", ["short", "long"])
def test_a_bar_is_in_sample_up_to_the_last_that_was_trained_on(
    bundle: Bundle, horizon: str
) -> None:
    model = bundle.models[horizon]
    last = model.card.training.last
    days = [day(int(each)) for each in bundle.rows["IBM"].days]
    after = days[days.index(last) + 1]
    # The outcome of a bar is known after the sessions of the horizon.
    assert len(days) - days.index(last) == model.card.sessions + 1
    assert newest_remarks(bundle, model, last)["in_sample"] is True
    for as_of in (after, None):
        assert newest_remarks(bundle, model, as_of) == {
            "stale": False,
            "in_sample": False,
            "out_of_sample": None,
        }


@pytest.mark.parametrize("horizon", ["short", "long"])
def test_in_sample_it_comes_with_the_forecast_of_the_fit_that_had_not_seen_the_bar(
    bundle: Bundle, horizon: str
) -> None:
    model = bundle.models[horizon]
    last = model.card.training.last
    row = model.forecasts.row(
        by_predicate=(pl.col("symbol") == "IBM") & (pl.col("date") == last), named=True
    )
    assert newest_remarks(bundle, model, last)["out_of_sample"] == {
        "predicted_return": row["forecast"],
        "lower_return": row["lower"],
        "upper_return": row["upper"],
        "probability_of_rise": row["probability"],
    }
    # The served fit says something else of the same bar.
    forecaster = Forecaster(bundle)
    (served,) = forecaster.many(model, [forecaster.row(model, "IBM", last)])
    assert served["lower"] != row["lower"]


def test_before_the_hold_out_no_fit_had_not_seen_the_bar(bundle: Bundle) -> None:
    model = bundle.models["short"]
    last = model.card.training.last
    later = replace(model, forecasts=model.forecasts.filter(pl.col("date") > last))
    assert newest_remarks(bundle, later, last) == {
        "stale": False,
        "in_sample": True,
        "out_of_sample": None,
    }


def test_without_a_refit_the_hold_out_is_not_in_sample(bundle: Bundle) -> None:
    model = bundle.models["short"]
    last = model.card.training.last
    first = model.forecasts["date"].min()
    assert isinstance(first, date)
    card = model.card.model_copy(update={"training": Trained(last=first)})
    assert newest_remarks(bundle, replace(model, card=card), last)["in_sample"] is False
