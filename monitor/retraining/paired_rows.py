"""Forecasts of champion and challenger for the same rows, which neither was trained on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import polars as pl
from sqlalchemy import Engine

from monitor import live_forecasts
from monitor.live_forecasts import CHAMPION, Window
from stages.common import tables
from stages.forecast.scoring.spread import crps

SAME = 1e-9
"""Two targets of a row that differ by more have been restated by the source."""

CHALLENGER_ROLES = ("shadow", "canary")
"""Of a challenger's live forecasts: logged only, or the answer."""

_FORECAST = ("forecast", "lower", "upper", "probability", "scale")

CONTRACT: tables.Contract = {
    "symbol": pl.String,
    "date": pl.Date,
    "target": pl.Float64,
    **{f"{side}_{name}": pl.Float64 for side in ("champion", "challenger") for name in _FORECAST},
    "champion_loss": pl.Float64,
    "challenger_loss": pl.Float64,
    "live": pl.Boolean,
}
"""One row a symbol and bar; the losses are in the unit of the primary score."""

LIVE: tables.Contract = {
    name: dtype for name, dtype in CONTRACT.items() if not name.endswith("_loss") and name != "live"
}
"""Live forecasts of both, before they are scored."""


@dataclass(frozen=True)
class Side:
    """What a contestant forecast on the hold-out.

    Attributes:
        forecasts: its `forecasts.parquet`.
        card: its model card.
    """

    forecasts: pl.DataFrame
    card: Mapping[str, Any]

    def grid(self, *, live: bool = False) -> Sequence[float] | None:
        """Quantiles of its errors in units of the scale: of the served fit, or the evaluated."""
        fit = self.card if live else self.card.get("evaluated", {})
        quantiles: Sequence[float] | None = fit.get("residual_quantiles")
        return quantiles

    @property
    def last_target(self) -> date | None:
        """The newest session that the evaluated fit was trained on, targets included."""
        day = self.card.get("evaluated", {}).get("training", {}).get("last_target")
        return None if day is None else date.fromisoformat(day)


def score_name(champion: Side, challenger: Side) -> str:
    """The primary score: `crps` if both have a distribution, else `squared_error`."""
    both = champion.grid() is not None and challenger.grid() is not None
    return "crps" if both else "squared_error"


def held_out(champion: Side, challenger: Side) -> tuple[pl.DataFrame, int]:
    """The rows that both have in their hold-out.

    Returns:
        The columns of `CONTRACT`, and how many rows were left out because their target differs.
    """
    sides = [
        side.forecasts.drop_nulls("target").select(
            "symbol", "date", "target", *(pl.col(name).cast(pl.Float64) for name in _FORECAST)
        )
        for side in (champion, challenger)
    ]
    one, other = (
        frame.rename({name: f"{side}_{name}" for name in _FORECAST})
        for side, frame in zip(("champion", "challenger"), sides, strict=True)
    )
    rows = one.join(other, ["symbol", "date"], suffix="_other")
    same = (pl.col("target") - pl.col("target_other")).abs() <= SAME
    comparable = rows.filter(same).with_columns(live=pl.lit(value=False))
    return _with_losses(comparable, champion, challenger), rows.height - comparable.height


@dataclass(frozen=True)
class LiveRows:
    """Which live forecasts are compared.

    Attributes:
        horizon: of both models.
        models: md5 of the champion and of the challenger.
        after: only bars after it, which no fit has seen.
        due: only those whose target session is this day or before.
    """

    horizon: str
    models: tuple[str, str]
    after: date
    due: date

    def read(self, engine: Engine) -> pl.DataFrame:
        """Forecasts of the champion and the shadow of the challenger that have labels, paired.

        Returns:
            The columns of `LIVE`, sorted by date and symbol.
        """
        paired = None
        for side, md5, role in zip(
            ("champion", "challenger"), self.models, (CHAMPION, None), strict=True
        ):
            window = Window(self.horizon, models=[md5], role=role, due=self.due)
            rows = live_forecasts.read(engine, window).filter(pl.col("as_of") > self.after)
            if role is None:
                rows = rows.filter(pl.col("role").is_in(CHALLENGER_ROLES))
            rows = rows.unique(["symbol", "as_of"], keep="last", maintain_order=True)
            rows = rows.drop_nulls("actual_return").select(
                "symbol",
                date="as_of",
                target="actual_return",
                **{
                    f"{side}_{name}": pl.col({"forecast": "predicted_return"}.get(name, name))
                    for name in _FORECAST
                },
            )
            both = ["symbol", "date"]
            paired = rows if paired is None else paired.join(rows, both, suffix="_other")
        assert paired is not None  # noqa: S101  # two sides
        return paired.select(list(LIVE)).sort("date", "symbol")


def dates(rows: pl.DataFrame) -> tuple[date | None, date | None]:
    """The first and the last date of rows; None without any."""
    days = rows["date"]
    return (days.min(), days.max()) if len(days) else (None, None)  # type: ignore[return-value]  # a column of dates


def live(rows: pl.DataFrame, champion: Side, challenger: Side) -> pl.DataFrame:
    """What `LiveRows.read` gave, with losses: the columns of `CONTRACT`."""
    return _with_losses(rows.with_columns(live=pl.lit(value=True)), champion, challenger)


def _with_losses(rows: pl.DataFrame, champion: Side, challenger: Side) -> pl.DataFrame:
    is_crps = score_name(champion, challenger) == "crps"
    is_live = bool(rows["live"].any())
    target = rows["target"].to_numpy()
    for name, side in (("champion", champion), ("challenger", challenger)):
        error = target - rows[f"{name}_forecast"].to_numpy()
        grid = side.grid(live=is_live) if is_crps else None
        if grid is None:
            loss = error**2
        else:
            scale = rows[f"{name}_scale"].to_numpy()
            loss = scale * crps(error / scale, np.asarray(grid))
        rows = rows.with_columns(pl.Series(f"{name}_loss", loss, pl.Float64))
    return rows.select(list(CONTRACT)).cast(pl.Schema(CONTRACT)).sort("date", "symbol")
