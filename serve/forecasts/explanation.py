"""Why a forecast is what it is, as the stage `explain` wrote it."""

from typing import Any

from serve.checkout.bundle import Model
from serve.forecasts.forecast_errors import UnknownNameError
from serve.forecasts.forecaster import Row
from serve.forecasts.prediction import day


def explanation(model: Model, row: Row) -> dict[str, Any]:
    """The explanation of a forecast from a bar of the revision, in the shape of `Explanation`.

    Raises:
        UnknownNameError: the revision has none for that bar, or none at all.
    """
    if model.explanations is None:
        raise UnknownNameError(
            f"the revision has no explanations of its {model.name} forecasts; run "
            f"`dvc repro explain@{model.name}`, or leave out explain",
            "no-explanation",
        )
    session = day(row.bar or 0)
    own = model.explanations.get(row.symbol)
    place = None if own is None else own["date"].index_of(session)
    if own is None or place is None:
        known = "" if own is None else f", from {own['date'][0]} to {own['date'][-1]}"
        raise UnknownNameError(
            f"{row.symbol}: the {model.name} forecast from {session} has no explanation; those "
            f"that evaluate wrote have one: of the held-out bars and the newest{known}",
            "no-explanation",
        )
    values = own.row(place, named=True)
    contributions = {name: values[name] for name in model.card.features}
    largest = sorted(contributions.items(), key=lambda each: -abs(each[1]))
    return {
        "forecast": values["forecast"],
        "base": values["base"],
        "contributions": dict(largest),
    }
