"""A bundle: all that the answers of one revision are made from, in memory."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel

from serve.checkout.provenance import Revision
from stages.forecast.contract import SYMBOL
from stages.forecast.session import Session
from stages.indicators.feature_params import FeatureParams

OLD = 21
"""Sessions that the newest bar of a symbol may be behind the newest of all; a month has as many."""

_NO_FORECASTS = pl.DataFrame(schema={"symbol": pl.String, "date": pl.Date, "target": pl.Float64})


class Interval(BaseModel):
    """The part of a card that says how wide an interval is."""

    level: float


class Trained(BaseModel):
    """The part of a card that says what the served model was trained on."""

    last: date


class Card(BaseModel):
    """The part of `models/<horizon>/card.json` that the server reads; callers get the whole."""

    horizon: str
    sessions: int
    as_of: date
    features: list[str]
    symbols: list[str]
    interval: Interval
    training: Trained


@dataclass(frozen=True)
class Model:
    """The forecast of one horizon.

    Attributes:
        card: the checked part of its model card; `document` is the whole.
        md5: of `model.onnx`, as dvc.lock has it.
        scores: on the hold-out, `all` and by symbol.
        forecasts: of the hold-out and the newest bars, as evaluate wrote them.
        explanations: of `forecasts` by symbol, as explain wrote them; None if it has not explained
            them.
    """

    name: str
    card: Card
    session: Session
    md5: str
    document: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, Mapping[str, float | int | None]] = field(default_factory=dict)
    forecasts: pl.DataFrame = field(default_factory=lambda: _NO_FORECASTS)
    explanations: Mapping[str, pl.DataFrame] | None = None

    @property
    def per_symbol(self) -> bool:
        """Whether the graph has one model per symbol."""
        return SYMBOL in self.session.inputs


@dataclass(frozen=True)
class Rows:
    """The newest bars of one symbol.

    Attributes:
        days: since 1970-01-01, ascending.
        closes: as traded.
        features: per horizon, float32 (bars, features) in the order of its card.
    """

    days: npt.NDArray[np.int32]
    closes: npt.NDArray[np.float64]
    features: Mapping[str, npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Bundle:
    """One revision, ready to answer.

    Attributes:
        models: by horizon, in the order of params.yaml.
        rows: by symbol, in alphabetical order.
        market: clean bars of each market series.
        levels: those market series that are numbers, not prices.
        bars: clean bars of every symbol, as `latest.parquet` keeps them.
        latest: the same with every feature of the revision, also those that no model takes.
        sessions: days since 1970-01-01 of the exchange's sessions, from the oldest bar kept.
        max_gap: the share beyond which an overnight move must be explained.
        features: the windows that features are computed with.
        symbols: in the order of params.yaml; the first is the default.
        files: md5 of each file that it was loaded from.
        loaded_at: seconds since 1970-01-01.
    """

    revision: Revision
    lock_md5: str
    as_of: date
    models: Mapping[str, Model]
    rows: Mapping[str, Rows]
    bars: pl.DataFrame
    latest: pl.DataFrame
    market: Mapping[str, pl.DataFrame]
    levels: Sequence[str]
    sessions: Sequence[int]
    max_gap: float
    features: FeatureParams
    symbols: tuple[str, ...]
    files: Mapping[Path, str]
    loaded_at: float

    def described(self) -> dict[str, Any]:
        """Its revision, newest session and models, for the live feed."""
        return {
            "revision": self.revision.name,
            "as_of": self.as_of,
            "models": {
                name: {"md5": model.md5, "version": self.revision.versions.get(name)}
                for name, model in self.models.items()
            },
        }

    def reference(self, horizon: str) -> dict[str, str | None]:
        """Which model a forecast of a horizon is made by, in the shape of `ModelReference`."""
        revision, md5 = self.revision, self.models[horizon].md5
        return {"revision": revision.name, "md5": md5, "version": revision.versions.get(horizon)}

    @property
    def newest(self) -> int:
        """The newest bar of all symbols, in days since 1970-01-01."""
        return max(int(rows.days[-1]) for rows in self.rows.values())

    @cached_property
    def stale(self) -> frozenset[str]:
        """Symbols that ended: their bars end more than 21 sessions before the newest of all."""
        newest = bisect_right(self.sessions, self.newest)
        return frozenset(
            symbol
            for symbol, rows in self.rows.items()
            if newest - bisect_right(self.sessions, int(rows.days[-1])) > OLD
        )

    def target(self, day: int, sessions: int) -> int | None:
        """The session that is `sessions` after a day, both in days since 1970-01-01.

        None if the exchange's calendar, as the revision keeps it, begins after that day or ends
        before the target.
        """
        if not self.sessions or day < self.sessions[0]:
            return None
        index = bisect_right(self.sessions, day) + sessions - 1
        return self.sessions[index] if index < len(self.sessions) else None
