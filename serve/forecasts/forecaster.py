"""Forecasts of a bundle: from which row, what the graph says, for which session."""

import asyncio
import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from serve.checkout.bundle import Bundle, Model
from serve.edge.problems import ProblemError
from serve.forecasts.prediction import Forecast, as_json, day, days_since_epoch, iso
from stages.common.errors import few
from stages.forecast.contract import FORECAST_OUTPUTS

VALUES = ("predicted_return", "lower", "upper", "probability")
"""What is forecast, by its name in the prediction log; in the order of `FORECAST_OUTPUTS`."""

LONGEST = 64
"""Characters of a name."""

NEGATIVE, OVERFLOW = "negative-scale", "overflow"
"""Kinds of problems."""


class Row(NamedTuple):
    """What a model forecasts from.

    Attributes:
        symbol: whose bar it is.
        bar: its session, in days since 1970-01-01; None if it is not known.
        close: its close, as traded; None if it is not known.
        features: float32, (features,), in the order of the card.
        scale: recent volatility.
        source: of the features: `latest` (a bar of the revision), `bars` (the caller's own) or
            `rows` (the caller's features, whose bar and close may be unknown).
    """

    symbol: str
    bar: int | None
    close: float | None
    features: npt.NDArray[np.float32]
    scale: float
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
            ProblemError: 404, there is none.
        """
        model = self.bundle.models.get(horizon)
        if model is None:
            known = list(self.bundle.models)
            raise ProblemError(
                404,
                f"unknown horizon {horizon!r}{nearest(horizon, known)}; "
                f"there are {', '.join(known)}",
                "unknown-horizon",
            )
        return model

    def symbol(self, name: str | None, also: Iterable[str] = ()) -> str:
        """A symbol that can be asked for, the first of params.yaml by default.

        Args:
            name: of the symbol.
            also: what else may have been meant.

        Raises:
            ProblemError: 404, there is no such symbol; near ones are named.
        """
        if name is None:
            return self.bundle.symbols[0]
        if name not in self.bundle.rows:
            raise ProblemError(
                404,
                f"unknown symbol {name!r}{nearest(name, [*self.bundle.rows, *also])}; "
                "GET /symbols lists them",
                "unknown-symbol",
            )
        return name

    def row(self, symbol: str, as_of: date | None) -> int:
        """The newest bar of a symbol up to a day, as its index in `Bundle.rows`.

        Raises:
            ProblemError: 422, the day is after the newest session that the revision knows, or
                before the oldest bar that it keeps.
        """
        days = self.bundle.rows[symbol].days
        if as_of is None:
            return len(days) - 1
        if as_of > self.bundle.as_of:
            raise ProblemError(
                422,
                f"as_of {as_of} is after {self.bundle.as_of}, the newest session that this "
                "revision knows; leave it out for the newest bar",
                "future-as-of",
            )
        found = int(np.searchsorted(days, days_since_epoch(as_of), side="right")) - 1
        if found < 0:
            raise ProblemError(
                422,
                f"as_of {as_of} is before {day(int(days[0]))}, the oldest bar of {symbol} that "
                "this revision keeps",
                "as-of-too-old",
            )
        return found

    async def soon(self, model: Model, row: Row) -> Forecast:
        """Run a model on a row, together with all that are asked for in this turn of the loop.

        A call of a model costs more than a row of it, and requests come in bursts: the log makes
        many durable at once, and their callers ask again.

        Raises:
            ProblemError: 422, a feature is not known there, or the symbol has no model.
        """
        check(model, row)
        loop = asyncio.get_running_loop()
        waiting = self._waiting.setdefault(model.name, [])
        if not waiting:
            loop.call_soon(self._run, model)
        future: asyncio.Future[Forecast] = loop.create_future()
        waiting.append((row, future))
        return finite(await future)

    def _run(self, model: Model) -> None:
        # Who has gone, or whose time was over, waits no more.
        waiting = [each for each in self._waiting.pop(model.name) if not each[1].done()]
        if not waiting:
            return
        try:
            made = self.many(model, [row for row, _ in waiting])
        except Exception as error:  # noqa: BLE001  # is raised where it was asked for
            for _, future in waiting:
                future.set_exception(error)
        else:
            for (_, future), forecast in zip(waiting, made, strict=True):
                future.set_result(forecast)

    def kept(self, model: Model, symbol: str, row: int) -> Row:
        """What the bundle keeps of a bar that `row` found."""
        rows = self.bundle.rows[symbol]
        return Row(
            symbol=symbol,
            bar=int(rows.days[row]),
            close=float(rows.closes[row]),
            features=rows.features[model.name][row],
            scale=float(rows.scales[model.name][row]),
        )

    def many(self, model: Model, rows: Sequence[Row]) -> list[Forecast]:
        """Run a model once on rows that `check` lets pass; whether each is `finite` is not said."""
        features = np.array([row.features for row in rows], np.float32)
        scales = np.array([[row.scale] for row in rows], np.float32)
        indices = [symbol_index(model, row.symbol) for row in rows]
        symbols = np.array([[index or 0] for index in indices], np.int64)
        found = model.session(features, scales, symbols)
        values = [found[name].tolist() for name in FORECAST_OUTPUTS]
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
                "predicted_return": expected,
                "lower": lower,
                "upper": upper,
                "probability": probability,
                "inputs": given,
                "scale": row.scale,
                "symbol_index": index,
            }
            for row, index, given, expected, lower, upper, probability in zip(
                rows, indices, inputs, *values, strict=True
            )
        ]

    def _target(self, bar: int | None, sessions: int) -> str | None:
        found = None if bar is None else self.bundle.target(bar, sessions)
        return None if found is None else iso(found)


def check(model: Model, row: Row) -> None:
    """Refuse what a model cannot be run on.

    Raises:
        ProblemError: 422, the symbol has no model, features are not known, of which the first are
            named, or the scale is negative.
    """
    symbol_index(model, row.symbol)
    if row.scale < 0:
        raise ProblemError(422, f"{row.symbol}: {negative(row.scale)}", NEGATIVE)
    if math.isfinite(row.scale) and np.isfinite(row.features).all():
        return
    names = np.array([*model.card.features, model.card.scale])
    missing = names[~np.isfinite(np.append(row.features, np.float32(row.scale)))]
    raise ProblemError(
        422, f"{row.symbol}: too few bars for {few(dict.fromkeys(missing), 3)}", "too-few-bars"
    )


def negative(scale: float) -> str:
    """What is said of such a scale."""
    return f"scale is {scale:g}, and volatility is never negative"


def finite(forecast: Forecast) -> Forecast:
    """See that a forecast is one.

    Raises:
        ProblemError: 422, features or scale were beyond what the model can compute with.
    """
    if math.isfinite(sum(forecast[name] for name in VALUES)):
        return forecast
    raise ProblemError(
        422,
        f"{forecast['symbol']}: the forecast is beyond what a float32 holds; "
        "see whether features and scale have the unit of training",
        OVERFLOW,
    )


def come(as_of: date, name: str = "as_of") -> date:
    """See that a day of the caller's own bars has come, somewhere on earth.

    Raises:
        ProblemError: 422, it has not.
    """
    if as_of > datetime.now(UTC).date() + timedelta(days=1):
        raise ProblemError(422, f"{name} {as_of} has not come yet", "future-as-of")
    return as_of


def symbol_index(model: Model, symbol: str) -> int | None:
    """The place of a symbol in a graph with one model per symbol; None in a pooled one.

    Raises:
        ProblemError: 422, the symbol has no model.
    """
    if not model.per_symbol:
        return None
    if symbol not in model.card.symbols:
        raise ProblemError(
            422,
            f"{symbol}: the {model.name} forecast has one model per symbol and none for it; "
            f"it has {', '.join(model.card.symbols[:5])}",
            "no-model",
        )
    return model.card.symbols.index(symbol)


def nearest(wanted: str, known: Sequence[str] | Mapping[str, object]) -> str:
    """A hint at the names that may have been meant; none at a name longer than any may be."""
    if len(wanted) > LONGEST:
        return ""
    close = difflib.get_close_matches(wanted.upper(), [name.upper() for name in known], n=3)
    names = [name for name in known if name.upper() in close]
    return f" (did you mean {' or '.join(names)}?)" if names else ""
