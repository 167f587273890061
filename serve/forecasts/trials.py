"""Forecasts of challengers beside those of the models that are checked out.

Only forecasts from bars of the revision are compared: a caller's own bars and features may be
hypothetical, and may lack what a challenger takes.
"""

import logging
from collections.abc import Iterator, Sequence
from datetime import date
from typing import NamedTuple

from serve.checkout.bundle import Bundle, Model
from serve.checkout.challengers import Challenger, Challengers
from serve.forecasts.forecast_errors import InvalidInputError
from serve.forecasts.forecaster import Forecaster, Row, check, finite
from serve.forecasts.prediction import Forecast, day
from stages.common.text import first_line

log = logging.getLogger("serve")

SHADOW, CANARY = "shadow", "canary"


class Answered(NamedTuple):
    """What a request is answered with.

    Attributes:
        bundle, model, row: that the forecast was made from.
        forecast: is the answer.
        beside: is only logged.
    """

    bundle: Bundle
    model: Model
    row: Row
    forecast: Forecast
    beside: Sequence[Forecast] = ()


class Trials:
    """Forecasts of requests that a challenger takes part in."""

    def __init__(self, challengers: Challengers) -> None:
        self._challengers = challengers
        self._forecasters: dict[str, Forecaster] = {}

    async def forecast(
        self, forecaster: Forecaster, model: Model, row: Row, caller: str | None
    ) -> Answered:
        """Forecast from a bar of the revision, with the challenger too where there is one.

        Args:
            forecaster: of the revision that answers.
            caller: decides whether a canary answers; None if it must not.

        Raises:
            InvalidInputError: the model of the revision refuses the row.
        """
        challenger = self._challengers.of(model.name, forecaster.bundle)
        if challenger is None:
            return Answered(forecaster.bundle, model, row, await forecaster.soon(model, row))
        champions = forecaster.submit(model, row)
        other = await self._soon(challenger, row)
        own = finite(await champions)
        if other is None:
            return Answered(forecaster.bundle, model, row, own)
        challengers_row, forecast = other
        if caller is None or not challenger.answers(caller):
            return Answered(forecaster.bundle, model, row, own, [{**forecast, "role": SHADOW}])
        return Answered(
            challenger.bundle,
            challenger.model,
            challengers_row,
            {**forecast, "role": CANARY},
            [{**own, "role": SHADOW}],
        )

    async def _soon(self, challenger: Challenger, row: Row) -> tuple[Row, Forecast] | None:
        """A challenger's forecast from a bar; None if it has none, whatever the reason."""
        forecaster, model = self._forecaster(challenger), challenger.model
        try:
            own = forecaster.row(model, row.symbol, day(row.bar or 0))
            return own, await forecaster.soon(model, own)
        except Exception as error:  # noqa: BLE001  # the model of the revision answers alone
            _failed(challenger, row.symbol, error)
            return None

    def shadows(self, bundle: Bundle, forecasts: Sequence[Forecast]) -> list[Forecast]:
        """What challengers forecast from the same bars, with one call a horizon.

        Args:
            bundle: that the forecasts are of.
            forecasts: of any horizons; those that are not from bars of the revision are left out.
        """
        rows: dict[str, tuple[Challenger, list[Row]]] = {}
        for forecast in forecasts:
            horizon, symbol = forecast["horizon"], forecast["symbol"]
            challenger = self._challengers.of(horizon, bundle)
            if challenger is None or forecast["source"] != "latest":
                continue
            try:
                as_of = date.fromisoformat(forecast["as_of"])
                row = self._forecaster(challenger).row(challenger.model, symbol, as_of)
                check(challenger.model, row)
            except Exception as error:  # noqa: BLE001  # the model of the revision answers alone
                _failed(challenger, symbol, error)
            else:
                rows.setdefault(horizon, (challenger, []))[1].append(row)
        return [each for pair in rows.values() for each in self._many(*pair)]

    def _many(self, challenger: Challenger, rows: Sequence[Row]) -> Iterator[Forecast]:
        try:
            forecasts = self._forecaster(challenger).many(challenger.model, rows)
        except Exception as error:  # noqa: BLE001  # the model of the revision answers alone
            _failed(challenger, rows[0].symbol, error)
            return
        for forecast in forecasts:
            try:
                yield {**finite(forecast), "role": SHADOW}
            except InvalidInputError as error:
                _failed(challenger, forecast["symbol"], error)

    def _forecaster(self, challenger: Challenger) -> Forecaster:
        horizon = challenger.model.name
        known = self._forecasters.get(horizon)
        if known is None or known.bundle is not challenger.bundle:
            known = self._forecasters[horizon] = Forecaster(challenger.bundle)
        return known


def _failed(challenger: Challenger, symbol: str, error: Exception) -> None:
    """Count a failure, and say what the first was."""
    challenger.failures += 1
    challenger.failure = f"{symbol}: {first_line(error)}"
    if challenger.failures == 1:
        log.warning(
            "the challenger %s of %s has no forecast: %s",
            challenger.announced.commit,
            challenger.model.name,
            challenger.failure,
        )
