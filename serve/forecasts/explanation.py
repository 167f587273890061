"""Why a forecast is what it is, as the stage `explain` wrote it."""

from typing import Any

import polars as pl

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
    asked = day(row.bar or 0)
    own = model.explanations.filter(pl.col("symbol") == row.symbol)
    found = own.filter(pl.col("date") == asked)
    if found.is_empty():
        days = own["date"].to_list()
        known = f"the {len(days):,} from {days[0]} to {days[-1]} that" if days else "those that"
        raise UnknownNameError(
            f"{row.symbol}: the {model.name} forecast from {asked} has no explanation; "
            f"{known} evaluate wrote have one, of held-out bars and the newest",
            "no-explanation",
        )
    values = found.drop("symbol", "date").row(0, named=True)
    forecast, base = values.pop("forecast"), values.pop("base")
    largest = sorted(values.items(), key=lambda each: -abs(each[1]))
    return {"forecast": forecast, "base": base, "contributions": dict(largest)}
