"""How certain a live score is: a bootstrap of blocks of sessions.

Targets of h sessions overlap, and symbols of one date move together. So whole dates are drawn, in
blocks of at least h of them (circular block bootstrap, Politis and Romano, 1992): an interval from
rows drawn one by one would be far too narrow.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

Array = npt.NDArray[np.float64]
Interval = tuple[float, float]

LEVEL = 0.95
"""Of the intervals."""

DEFINED = 0.9
"""Share of the resamples in which a score must be defined for it to have an interval."""

_MORE_LIKELY = 0.5


@dataclass(frozen=True)
class Blocks:
    """How dates are drawn: the length of a block, how many times, and the seed."""

    sessions: int
    resamples: int
    seed: int

    def length(self, dates: int) -> int:
        """Dates of a block."""
        return max(self.sessions, math.ceil(math.cbrt(dates)))

    def counts(self, dates: int) -> Array:
        """How often each date was drawn, (resamples, dates)."""
        random = np.random.default_rng(self.seed)
        length = self.length(dates)
        starts = random.integers(0, dates, (self.resamples, math.ceil(dates / length)))
        drawn = (starts[:, :, None] + np.arange(length)) % dates
        drawn = drawn.reshape(self.resamples, -1)[:, :dates]
        places = drawn + np.arange(self.resamples)[:, None] * dates
        total = np.bincount(places.reshape(-1), minlength=self.resamples * dates)
        return total.reshape(self.resamples, dates).astype(np.float64)


def intervals(rows: pl.DataFrame, blocks: Blocks) -> dict[str, Interval]:
    """Intervals of the scores of `resampled`, by name.

    Args:
        rows: what `scores.scores` takes.
        blocks: how dates are drawn.

    Returns:
        The middle 95 % of each score over all resamples; empty where there are fewer dates than two
        blocks have, and without scores that most resamples leave undefined.
    """
    dates = rows["date"].n_unique()
    if dates < 2 * blocks.length(dates):
        return {}
    drawn = resampled(rows, blocks.counts(dates))
    ends = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
    bounds = {}
    for name, values in drawn.items():
        known = values[np.isfinite(values)]
        if len(known) >= DEFINED * len(values):
            lower, upper = np.quantile(known, ends)
            bounds[name] = (float(lower), float(upper))
    return bounds


def resampled(rows: pl.DataFrame, counts: Array) -> dict[str, Array]:
    """Scores of resamples, as `scores.scores` defines them, NaN where one is not defined.

    Args:
        rows: what `scores.scores` takes.
        counts: how often each date counts, in their order, (resamples, dates).
    """
    rows = rows.with_columns(pl.col(pl.Float32).cast(pl.Float64)).sort("date")
    summed = _summed(rows)
    sums = dict(zip(summed.columns, (counts @ summed.to_numpy()).T, strict=True))
    with np.errstate(divide="ignore", invalid="ignore"):
        count = sums["rows"]
        means = ("direction", "brier", "coverage", "width", "interval_score", "crps", "mae")
        return {
            **{name: sums[name] / count for name in means},
            "rmse": np.sqrt(sums["squared"] / count),
            "oos_r2": 1 - sums["squared"] / sums["base"],
            "f1": 2 * sums["hits"] / (sums["risen"] + sums["claimed"]),
            "precision": sums["hits"] / sums["claimed"],
            "recall": sums["hits"] / sums["risen"],
            "crps_skill": 1 - sums["crps"] / sums["base_crps"],
            "auc": _auc(rows, counts),
        }


def _summed(rows: pl.DataFrame) -> pl.DataFrame:
    """Sums over the symbols of each date."""
    target, forecast, probability = (pl.col(n) for n in ("target", "forecast", "probability"))
    rose, claimed = target > 0, probability > _MORE_LIKELY
    parts = {
        "rows": pl.lit(1.0),
        "mae": (target - forecast).abs(),
        "squared": (target - forecast) ** 2,
        "base": (target - pl.col("mean")) ** 2,
        "direction": (forecast > 0) == rose,
        "hits": rose & claimed,
        "risen": rose,
        "claimed": claimed,
        "brier": (probability - rose.cast(pl.Float64)) ** 2,
        "coverage": target.is_between("lower", "upper"),
        "width": pl.col("upper") - pl.col("lower"),
        **{name: pl.col(name) for name in ("interval_score", "crps", "base_crps")},
    }
    values = rows.select("date", **{k: v.cast(pl.Float64) for k, v in parts.items()})
    return values.group_by("date").agg(pl.all().sum()).sort("date").drop("date")


def _auc(rows: pl.DataFrame, counts: Array) -> Array:
    """The area under the curve of each resample, from ranks of the rows that are sorted once."""
    ordered = rows.select(
        "probability", date=pl.col("date").rank("dense") - 1, rose=pl.col("target") > 0
    ).sort("probability")
    dates, rose = ordered["date"].to_numpy(), ordered["rose"].to_numpy()
    probability = ordered["probability"]
    former = probability.shift(1).fill_null(math.nan)
    starts = np.flatnonzero(probability.to_numpy() != former.to_numpy())
    areas = np.empty(len(counts))
    for place, count in enumerate(counts):
        weight = count[dates]
        risen = np.add.reduceat(weight * rose, starts)
        fallen = np.add.reduceat(weight * ~rose, starts)
        pairs = risen.sum() * fallen.sum()
        below = np.cumsum(fallen) - fallen / 2
        areas[place] = (risen @ below) / pairs if pairs else math.nan
    return areas
