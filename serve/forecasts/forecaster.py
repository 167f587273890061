"""Forecasts of a bundle: which row a model is run on, what it gives, and for which session."""

import asyncio
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from serve.checkout.bundle import Bundle, Model
from serve.forecasts.forecast_errors import InvalidInputError, UnknownNameError
from serve.forecasts.prediction import Forecast, as_json, day, days_since_epoch, iso
from stages.common import tables
from stages.common.errors import few
from stages.common.text import nearest
from stages.forecast.contract import FORECAST_OUTPUTS

VALUES = ("predicted_return", "lower", "upper", "probability", "scale")
"""What is forecast, by its name in the prediction log; in the order of `FORECAST_OUTPUTS`."""


LONGEST = 64
"""Characters of a name. Only so many are compared with known names, which takes time for each."""


class Row(NamedTuple):
    """The input of a model.

    Attributes:
        symbol: whose bar it is.
        bar: its session, in days since 1970-01-01; None if the caller did not say.
        close: its close, as traded; None if the caller did not say.
        features: float32, (features,), in the order of the card.
        source: where the features come from: `latest` (a bar of the revision), `bars` (the caller's
            own bars) or `rows` (the caller's own features).
    """

    symbol: str
    bar: int | None
    close: float | None
    features: npt.NDArray[np.float32]
    source: str = "latest"


_Waiting = tuple[Row, asyncio.Future[Forecast]]


@dataclass
class Forecaster:
    """Forecasts from the rows of a bundle."""

    bundle: Bundle
    _waiting: dict[str, list[_Waiting]] = field(default_factory=dict)

    def model(self, horizon: str) -> Model:
        """The model of a horizon.

        Raises:
            UnknownNameError: there is no such horizon.
        """
        model = self.bundle.models.get(horizon)
        if model is None:
            known = list(self.bundle.models)
            raise UnknownNameError(
                f"unknown horizon {horizon!r}{nearest(horizon[:LONGEST], known)}; "
                f"there are {', '.join(known)}",
                "unknown-horizon",
            )
        return model

    def symbol(self, name: str | None, also: Iterable[str] = ()) -> str:
        """A symbol of the revision; by default the first of params.yaml.

        Args:
            name: of the symbol.
            also: other names that the caller may have meant.

        Raises:
            UnknownNameError: there is no such symbol; the message has the nearest name.
        """
        if name is None:
            return self.bundle.symbols[0]
        if name not in self.bundle.rows:
            near = nearest(name[:LONGEST], [*self.bundle.rows, *also])
            raise UnknownNameError(
                f"unknown symbol {name!r}{near}; GET /symbols lists them", "unknown-symbol"
            )
        return name

    def row(self, model: Model, symbol: str, as_of: date | None) -> Row:
        """The newest bar of a symbol up to a day, by default its newest, as input of a model.

        Raises:
            InvalidInputError: the day is after the newest session that the revision knows, or
                before the oldest bar that it keeps.
        """
        rows = self.bundle.rows[symbol]
        place = len(rows.days) - 1
        if as_of is not None:
            if as_of > self.bundle.as_of:
                raise InvalidInputError(
                    f"as_of {as_of} is after {self.bundle.as_of}, the newest session that this "
                    "revision knows; leave it out for the newest bar",
                    "future-as-of",
                )
            place = int(np.searchsorted(rows.days, days_since_epoch(as_of), side="right")) - 1
        if place < 0:
            raise InvalidInputError(
                f"as_of {as_of} is before {day(int(rows.days[0]))}, the oldest bar of {symbol} "
                "that this revision keeps",
                "as-of-too-old",
            )
        return Row(
            symbol=symbol,
            bar=int(rows.days[place]),
            close=float(rows.closes[place]),
            features=rows.features[model.name][place],
        )

    async def soon(self, model: Model, row: Row) -> Forecast:
        """Run a model on a row, as `submit` does.

        Raises:
            InvalidInputError: as `check` and `finite` say.
        """
        return finite(await self.submit(model, row))

    def submit(self, model: Model, row: Row) -> asyncio.Future[Forecast]:
        """Run a model on a row, together with all rows that this turn of the event loop brings.

        A call of a model costs more than one more row in it, and requests come in bursts: the
        log makes many answers durable at once, and their callers ask again. The forecast may not be
        finite.

        Raises:
            InvalidInputError: as `check` says.
        """
        check(model, row)
        loop = asyncio.get_running_loop()
        waiting = self._waiting.setdefault(model.name, [])
        if not waiting:
            loop.call_soon(self._run, model)
        future: asyncio.Future[Forecast] = loop.create_future()
        waiting.append((row, future))
        return future

    def _run(self, model: Model) -> None:
        # Requests that were cancelled need no forecast.
        waiting = [each for each in self._waiting.pop(model.name) if not each[1].done()]
        if not waiting:
            return
        try:
            forecasts = self.many(model, [row for row, _ in waiting])
        except Exception as error:  # noqa: BLE001  # each caller raises it
            for _, future in waiting:
                future.set_exception(error)
        else:
            for (_, future), forecast in zip(waiting, forecasts, strict=True):
                future.set_result(forecast)

    def many(self, model: Model, rows: Sequence[Row]) -> list[Forecast]:
        """Run a model once on rows that passed `check`. The forecasts may not be finite."""
        features = np.array([row.features for row in rows], np.float32)
        indices = [symbol_index(model, row.symbol) for row in rows]
        symbols = np.array([[index or 0] for index in indices], np.int64)
        outputs = model.session(features, symbols)
        values = [outputs[name].tolist() for name in FORECAST_OUTPUTS]
        inputs = as_json(model.card.features, features)
        sessions = model.card.sessions
        same = {
            "horizon": model.name,
            "sessions": sessions,
            "level": model.card.interval.level,
            "revision": self.bundle.revision.name,
            "model_md5": model.md5,
            "model_version": self.bundle.revision.versions.get(model.name),
        }
        return [
            {
                **same,
                "source": row.source,
                "symbol": row.symbol,
                "as_of": None if row.bar is None else iso(row.bar),
                "target_date": self._target(row.bar, sessions),
                "last_close": row.close,
                **dict(zip(VALUES, forecast, strict=True)),
                "inputs": row_inputs,
                "symbol_index": index,
            }
            for row, index, row_inputs, *forecast in zip(
                rows, indices, inputs, *values, strict=True
            )
        ]

    def _target(self, bar: int | None, sessions: int) -> str | None:
        target = None if bar is None else self.bundle.target(bar, sessions)
        return None if target is None else iso(target)


def check(model: Model, row: Row) -> None:
    """Refuse a row that a model cannot be run on.

    Raises:
        InvalidInputError: the symbol has no model, or features are unknown, of which the message
            has the first.
    """
    symbol_index(model, row.symbol)
    finite_ones = np.isfinite(row.features)
    if finite_ones.all():
        return
    missing = np.array(model.card.features)[~finite_ones].tolist()
    if hours := tables.of_hours(missing):
        raise InvalidInputError(
            f"{row.symbol}: {few(hours)} needs the hourly bars of that session, which are not "
            "there; send the features with their values to /batch-predict",
            "no-hourly-bars",
        )
    raise InvalidInputError(
        f"{row.symbol}: too few bars for {few(dict.fromkeys(missing), 3)}", "too-few-bars"
    )


def finite(forecast: Forecast) -> Forecast:
    """The forecast, if its values are finite.

    Raises:
        InvalidInputError: features were beyond what the model can compute with.
    """
    if all(math.isfinite(forecast[name]) for name in VALUES):
        return forecast
    raise overflow(forecast["symbol"])


def overflow(where: str) -> InvalidInputError:
    """The error of a forecast that is not finite."""
    return InvalidInputError(
        f"{where}: the forecast is beyond what a float32 holds; "
        "see whether the features have the unit of training",
        "overflow",
    )


def not_future(as_of: date, name: str = "as_of") -> date:
    """The day of a caller's bar, if it has begun somewhere on earth.

    Raises:
        InvalidInputError: it has not.
    """
    if as_of > datetime.now(UTC).date() + timedelta(days=1):
        raise InvalidInputError(f"{name} {as_of} has not come yet", "future-as-of")
    return as_of


def symbol_index(model: Model, symbol: str) -> int | None:
    """The place of a symbol in a graph with one model per symbol; None in a pooled graph.

    Raises:
        InvalidInputError: the symbol has no model.
    """
    if not model.per_symbol:
        return None
    if symbol not in model.card.symbols:
        raise InvalidInputError(
            f"{symbol}: the {model.name} forecast has one model per symbol and none for it; "
            f"it has {', '.join(model.card.symbols[:5])}",
            "no-model",
        )
    return model.card.symbols.index(symbol)
