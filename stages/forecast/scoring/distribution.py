"""Scores of a whole distribution, row by row, and where its intervals hold what they promise."""

import numpy as np
import polars as pl

from stages.forecast.scoring.spread import Spread, crps, interval_score, pinball

PINBALL = {"pinball_05": 0.05, "pinball_25": 0.25, "pinball_50": 0.5} | {
    "pinball_75": 0.75,
    "pinball_95": 0.95,
}
"""The quantiles that are scored, by the name of their score."""

LOSSES = ("interval_score", "crps", *PINBALL)
"""What `with_losses` adds, in units of return: the smaller, the better."""

REGIMES = ("calm", "usual", "wild")
"""Thirds of the rows by the scale that was known."""

PIT_BINS = 20


def with_losses(rows: pl.DataFrame, spread: Spread, level: float) -> pl.DataFrame:
    """Add the losses of `LOSSES`, and `pit`.

    Args:
        rows: `target, forecast, lower, upper, scale`.
        spread: the distribution of the forecast's errors, divided by `scale`.
        level: share of outcomes that the interval is to hold.

    Returns:
        The rows; `pit` is the probability integral transform (Dawid, 1984): the share of the
        distribution below the outcome, uniform on 0 to 1 if the distribution is right.
    """
    target, forecast, lower, upper, scale = (
        rows[name].cast(pl.Float64).to_numpy()
        for name in ("target", "forecast", "lower", "upper", "scale")
    )
    error, levels = target - forecast, np.linspace(0, 1, len(spread.grid))
    scaled = error / scale
    losses = {
        "interval_score": interval_score(target, lower, upper, level),
        "crps": scale * crps(scaled, spread.grid),
        **{
            name: pinball(error, scale * np.interp(share, levels, spread.grid), share)
            for name, share in PINBALL.items()
        },
    }
    return rows.with_columns(
        *(pl.Series(name, losses[name]) for name in LOSSES),
        pit=pl.Series(np.interp(scaled, spread.grid, levels)),
    )


def pit_histogram(rows: pl.DataFrame) -> pl.DataFrame:
    """`pit, share`: how often outcomes fell into each of twenty equally likely spans.

    1 means as often as the forecast said.
    """
    counts, edges = np.histogram(rows["pit"].to_numpy(), PIT_BINS, (0.0, 1.0))
    centres = (edges[:-1] + edges[1:]) / 2
    return pl.DataFrame({"pit": centres, "share": counts * PIT_BINS / max(1, rows.height)})


def coverage(rows: pl.DataFrame) -> pl.DataFrame:
    """How many outcomes the interval held, by year and by how much prices moved.

    Returns:
        `part, rows, coverage, width`: each year, then each of `REGIMES`.
    """
    rows = rows.with_columns(
        inside=pl.col("target").is_between(pl.col("lower"), pl.col("upper")),
        width=(pl.col("upper") - pl.col("lower")).cast(pl.Float64),
        year=pl.col("date").dt.year().cast(pl.String),
        # An equal share of the rows each, whatever the scale is.
        third=(3 * (pl.col("scale").rank("ordinal") - 1) // pl.len()).cast(pl.Int32),
    )
    scored = (pl.len().alias("rows"), pl.col("inside").mean().alias("coverage"))
    width = pl.col("width").mean()
    years = rows.group_by(part=pl.col("year")).agg(*scored, width).sort("part")
    thirds = rows.group_by("third").agg(*scored, width).sort("third")
    regimes = thirds.with_columns(
        part=pl.col("third").replace_strict(dict(enumerate(REGIMES)), return_dtype=pl.String)
    ).select(years.columns)
    return pl.concat([years, regimes])
