"""A forecast as a value, as its caller gets it, and as the prediction log keeps it."""

from collections.abc import Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

_EPOCH = date(1970, 1, 1).toordinal()

Forecast = Mapping[str, Any]
"""The forecast of one model for one row, by column of `prediction_logs`; without the id, the time
and the client, and with a `role` only where it is not the answer of the revision's own model."""


def answer(forecast: Forecast, identifier: str, created_at: str) -> dict[str, Any]:
    """A forecast in the shape of `answer_schemas.Prediction`."""
    model = {
        "revision": forecast["revision"],
        "md5": forecast["model_md5"],
        "version": forecast["model_version"],
    }
    if role := forecast.get("role"):
        model["role"] = role
    close = forecast["last_close"]
    expected, lower, upper = forecast["predicted_return"], forecast["lower"], forecast["upper"]
    return {
        "id": identifier,
        "symbol": forecast["symbol"],
        "horizon": forecast["horizon"],
        "sessions": forecast["sessions"],
        "as_of": forecast["as_of"],
        "target_date": forecast["target_date"],
        "last_close": close,
        "predicted_return": expected,
        "predicted_close": None if close is None else close * (1 + expected),
        "probability_of_rise": forecast["probability"],
        "interval": {
            "level": forecast["level"],
            "lower_return": lower,
            "upper_return": upper,
            "lower_close": None if close is None else close * (1 + lower),
            "upper_close": None if close is None else close * (1 + upper),
        },
        "model": model,
        "created_at": created_at,
        "logged_to": "database",
    }


def as_json(names: Sequence[str], rows: npt.NDArray[np.float32]) -> list[str]:
    """Features by name, an object a row: each float32 in the shortest form that reads back as it.

    Args:
        names: of the features.
        rows: their values, (rows, features); finite.
    """
    objects = (dict(zip(names, row, strict=True)) for row in rows)
    return [orjson.dumps(each, option=orjson.OPT_SERIALIZE_NUMPY).decode() for each in objects]


def day(number: int) -> date:
    """A date from days since 1970-01-01."""
    return date.fromordinal(_EPOCH + number)


@lru_cache(65_536)
def iso(number: int) -> str:
    """A day as text, `2012-12-31`, from days since 1970-01-01."""
    return day(number).isoformat()


def days_since_epoch(value: date) -> int:
    """Days since 1970-01-01."""
    return value.toordinal() - _EPOCH
