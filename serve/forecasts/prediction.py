"""A forecast as a value: what its caller is told, and what the prediction log keeps of it."""

from collections.abc import Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

_EPOCH = date(1970, 1, 1).toordinal()


Forecast = Mapping[str, Any]
"""What one model says of one row: by column of `prediction_logs`, but for the id, when it was made
and who asked."""


def answer(forecast: Forecast, identifier: str, created_at: str) -> dict[str, Any]:
    """A forecast in the shape of `schemas.Prediction`."""
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
        "model": {
            "revision": forecast["revision"],
            "md5": forecast["model_md5"],
            "version": forecast["model_version"],
        },
        "created_at": created_at,
        "logged_to": "database",
    }


def as_json(names: Sequence[str], rows: npt.NDArray[np.float32]) -> list[str]:
    """Features by name, an object a row: a float32 in the shortest form that gives it back.

    Args:
        names: of the features.
        rows: their values, (rows, features); finite.
    """
    parts = [*_keys(tuple(names)), "}"]
    lists = orjson.dumps(rows, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    made = []
    for values in lists[2:-2].split("],["):
        parts[1:-1:2] = values.split(",")
        made.append("".join(parts))
    return made


@lru_cache(64)
def _keys(names: tuple[str, ...]) -> list[str]:
    """What stands before each value, and after it a place for the value."""
    parts = [""] * (2 * len(names))
    parts[0::2] = [f",{orjson.dumps(name).decode()}:" for name in names]
    parts[0] = "{" + parts[0][1:]
    return parts


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
