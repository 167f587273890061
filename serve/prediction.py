"""A forecast as a value: what its caller is told, and what the prediction log keeps of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True)
class Forecast:
    """What one model says of one row.

    Attributes:
        revision: whose model it was.
        inputs: the features by name, as JSON; a float32 in its shortest decimal form.
        scale: recent volatility, by which the interval is scaled.
        symbol_index: the symbol's place in a graph with one model per symbol.
        source: of the inputs: `latest` (a bar of the revision), `bars` (the caller's own) or
            `rows` (the caller's features, whose bar and close may be unknown).
    """

    symbol: str
    horizon: str
    sessions: int
    as_of: date | None
    target_date: date | None
    last_close: float | None
    predicted_return: float
    lower: float
    upper: float
    level: float
    probability: float
    revision: str
    model_md5: str
    model_version: str | None
    inputs: str
    scale: float
    symbol_index: int | None
    source: str = "latest"

    def answer(self, identifier: str, created_at: str) -> dict[str, Any]:
        """In the shape of `schemas.Prediction`, but for `logged_to`."""
        return {"id": identifier, **self.told, "created_at": created_at}

    # Most forecasts are asked for again and again; what is the same each time is made once.

    @cached_property
    def told(self) -> dict[str, Any]:
        """In the shape of `schemas.Prediction`, without what is each answer's own."""
        close = self.last_close

        def at(change: float) -> float | None:
            return None if close is None else close * (1 + change)

        return {
            "symbol": self.symbol,
            "horizon": self.horizon,
            "sessions": self.sessions,
            "as_of": self.as_of,
            "target_date": self.target_date,
            "last_close": close,
            "predicted_return": self.predicted_return,
            "predicted_close": at(self.predicted_return),
            "probability_of_rise": self.probability,
            "interval": {
                "level": self.level,
                "lower_return": self.lower,
                "upper_return": self.upper,
                "lower_close": at(self.lower),
                "upper_close": at(self.upper),
            },
            "model": {
                "revision": self.revision,
                "md5": self.model_md5,
                "version": self.model_version,
            },
        }

    @cached_property
    def logged(self) -> dict[str, Any]:
        """By column of the prediction log, without what is each row's own."""
        return {
            "source": self.source,
            "symbol": self.symbol,
            "horizon": self.horizon,
            "sessions": self.sessions,
            "as_of": self.as_of and self.as_of.isoformat(),
            "target_date": self.target_date and self.target_date.isoformat(),
            "last_close": self.last_close,
            "predicted_return": self.predicted_return,
            "lower": self.lower,
            "upper": self.upper,
            "level": self.level,
            "probability": self.probability,
            "revision": self.revision,
            "model_md5": self.model_md5,
            "model_version": self.model_version,
            "inputs": self.inputs,
            "scale": self.scale,
            "symbol_index": self.symbol_index,
        }


def as_json(names: Sequence[str], values: npt.NDArray[np.float32]) -> str:
    """Features by name, exactly: a float32 in the shortest form that gives it back."""
    content = dict(zip(names, values, strict=True))
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY).decode()


def day(number: int) -> date:
    """A date from days since 1970-01-01."""
    return date.fromordinal(_EPOCH + number)


def days_since_epoch(value: date) -> int:
    """Days since 1970-01-01."""
    return value.toordinal() - _EPOCH
