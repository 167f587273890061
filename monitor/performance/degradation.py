"""Whether a model got worse than it was on its hold-out.

A turbulent market makes every forecast err more, so errors alone say nothing. What is judged is the
CRPS, which mean, scale and distribution all enter, against that of the yardstick on the same rows:
the historical mean with an exponential average of volatility, which meets the same market. On its
hold-out a model's CRPS was some ratio of the yardstick's, 0.99 say. It is degraded once there is
evidence (`monitor.evidence`) that live it costs more than this ratio and a tolerance allow.

The tolerance is needed also because the ratio of a hold-out is of sums, in which wild dates weigh
more, and in the evidence all dates weigh alike: after a hold-out with a crisis, calm dates alone
raise the ratio by 1 % in simulation (benchmarks/degradation.py).

The squared error alone would not do, because a broken scale leaves it as it was. Nor would errors
divided by the model's own scale, because a scale that is far too wide makes them small.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import polars as pl

from monitor import evidence as evidences
from monitor.evidence import Evidence


def restart(sessions: int) -> int:
    """Dates after which a new bettor begins: a model may be good for years before it turns bad."""
    return max(63, 4 * sessions)


@dataclass(frozen=True)
class Degradation:
    """What the evidence says.

    Attributes:
        evidence: that live forecasts cost more than they may.
        since: the first date that counts; null without any.
        degraded: whether it convinces.
        ratio: CRPS over the yardstick's, live.
        allowed: what it may be.
    """

    evidence: Evidence
    since: date | None
    degraded: bool
    ratio: float | None
    allowed: float | None


def excess(rows: pl.DataFrame, held_out: Mapping[str, float], tolerance: float) -> pl.DataFrame:
    """How much more the model cost on each date than it may.

    Args:
        rows: as `judged_rows.judge` gives them.
        held_out: by model, the ratio of its CRPS to the yardstick's on its hold-out.
        tolerance: share by which the ratio may be greater.

    Returns:
        `date, model_md5, crps, base_crps, allowed, gain`, means over symbols, one row a date;
        `gain` is `crps` less `allowed`, in units of return. Rows whose model or yardstick is not
        known are left out.
    """
    ratios = pl.DataFrame(
        {"model_md5": list(held_out), "ratio": list(held_out.values())},
        schema={"model_md5": pl.String, "ratio": pl.Float64},
    )
    allowed = pl.col("base_crps") * pl.col("ratio") * (1 + tolerance)
    return (
        rows.join(ratios, on="model_md5", how="inner", maintain_order="left")
        .filter(pl.col("crps").is_not_nan(), pl.col("base_crps").is_not_nan())
        .group_by("date")
        .agg(pl.col("model_md5").last(), pl.col("crps", "base_crps").mean(), allowed=allowed.mean())
        .sort("date")
        .with_columns(gain=pl.col("crps") - pl.col("allowed"))
    )


def judge(costs: pl.DataFrame, sessions: int, error: float) -> Degradation:
    """Whether the forecasts of the newest model cost more than they may.

    A refit with newer data is judged together with what it replaced, or weekly refits would never
    be judged at all. Once a model was found degraded, its successor begins anew.

    Args:
        costs: as `excess` gives them: since the first live forecast, so that nothing moves from
            look to look.
        sessions: of the horizon.
        error: chance that a model within the tolerance is ever called degraded.
    """
    start, evidence = 0, evidences.evidence(costs, sessions, restart(sessions))
    places = costs.with_row_index("row").group_by("model_md5").agg(end=pl.col("row").max() + 1)
    for end in places["end"].sort():
        evidence = evidences.evidence(costs[start:end], sessions, restart(sessions))
        if evidence.convinces(error) and end < costs.height:
            start = end
    own = costs[start:]
    if own.is_empty():
        return Degradation(evidence, None, degraded=False, ratio=None, allowed=None)
    crps, yardstick, allowed = (float(own[n].sum()) for n in ("crps", "base_crps", "allowed"))
    return Degradation(
        evidence=evidence,
        since=own["date"][0],
        degraded=evidence.convinces(error),
        ratio=crps / yardstick,
        allowed=allowed / yardstick,
    )
